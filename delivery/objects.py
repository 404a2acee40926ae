"""Objects of a package: a tar of some files, encrypted by age, written and read as streams.

Neither the tar nor a decrypted file ever stands on the disk: what is read comes in pieces, and whoever reads decides. Any
age and any tar program opens an object: age -d -i client.key objects/000001.age | tar x
"""

import contextlib
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

import pyrage

from contract.errors import DeliveryError, GoldgateError
from contract.files import storage_errors

PIECE: Final = 1 << 20
_BLOCK: Final = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Content:
    """A file that is to go into a package: where in it, what it must be, and how it is opened."""

    path: str
    bytes: int
    sha256: str
    open: Callable[[], BinaryIO] = field(compare=False)
    item: str | None = None


@dataclass(frozen=True)
class Written:
    """An object as it lies on the disk: encrypted bytes and their SHA-256."""

    bytes: int
    sha256: str


def write_object(target: Path, files: Sequence[Content], recipients: Sequence[Any], *, mtime: int) -> Written:
    """Write `files` as one encrypted object to `target`, whole or not at all.

    Raises:
        DeliveryError: a file is not what it was when it was taken in.
        StorageError: the disk is full; nothing of the object remains.
    """
    return write_encrypted(target, tar_pieces(files, mtime=mtime), recipients)


def write_encrypted(target: Path, pieces: Iterator[bytes], recipients: Sequence[Any]) -> Written:
    """Write what `pieces` yield to `target`, encrypted to `recipients`, whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                sink = _Sink(file)
                _encrypt(_Source(pieces), sink, recipients)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return Written(sink.bytes, sink.sha256.hexdigest())


def _encrypt(source: "_Source", sink: "_Sink", recipients: Sequence[Any]) -> None:
    try:
        pyrage.encrypt_io(source, sink, list(recipients))
    except (pyrage.EncryptError, OSError) as error:
        # age tells only the text of what our side raised.
        raise (source.error or sink.error or error) from error


class _Source(io.RawIOBase):
    """Pieces as a file that is read; keeps what they raise."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = memoryview(b"")
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end."""
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except (GoldgateError, OSError) as error:
            self.error = error
            raise
        size = len(self._left) if size < 0 else size
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)


class _Sink(io.RawIOBase):
    """A file that is written, with its length and digest; keeps what it raises."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.sha256.update(data)
        self.bytes += len(data)
        return len(data)


def tar_pieces(files: Sequence[Content], *, mtime: int) -> Iterator[bytes]:
    """Yield the bytes of a tar (pax) of `files`, each checked against its length and digest as it is read.

    Raises:
        DeliveryError: a file is missing or has changed.
    """
    for content in files:
        info = tarfile.TarInfo(content.path)
        info.size, info.mtime, info.mode = content.bytes, mtime, 0o644
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        yield from _checked(content)
        yield bytes(-content.bytes % _BLOCK)
    yield bytes(2 * _BLOCK)


def _checked(content: Content) -> Iterator[bytes]:
    digest, left = hashlib.sha256(), content.bytes
    name = content.item or content.path
    try:
        with content.open() as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                left -= len(piece)
                if left < 0:
                    break
                yield piece
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DeliveryError(f"{name}: cannot be read ({reason}); put the file back as it was taken in") from error
    if left or digest.hexdigest() != content.sha256:
        raise DeliveryError(f"{name}: is not what it was when it was taken in; put the file back, or take the lot in again")


class _Decrypting:
    """A thread that decrypts an object into a pipe; `error` is what ended it early."""

    def __init__(self, path: Path, identity: Any) -> None:
        self._path, self._identity = path, identity
        read_end, self._write_end = os.pipe()
        self.file = os.fdopen(read_end, "rb")
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with os.fdopen(self._write_end, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            try:
                with self._path.open("rb") as source:
                    pyrage.decrypt_io(source, pipe, [self._identity])
            except (pyrage.DecryptError, OSError) as error:
                self.error = str(error) or type(error).__name__

    def close(self) -> None:
        """Stop and wait."""
        self.file.close()
        self._thread.join()

    def ended(self) -> str | None:
        """Wait for the end of the object and return why it was none."""
        while self.file.read(PIECE):
            pass
        self._thread.join()
        return self.error


@contextlib.contextmanager
def decrypted(path: Path, identity: Any) -> Iterator[IO[bytes]]:
    """Open the object at `path` for reading; the end is checked when the block ends.

    Raises:
        DeliveryError: it is not encrypted to `identity`, or was changed or cut.
    """
    stream = _Decrypting(path, identity)
    try:
        try:
            yield stream.file
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise _refused(path, stream.ended() or str(error)) from error
        if problem := stream.ended():
            raise _refused(path, problem)
    finally:
        stream.close()


def _refused(path: Path, problem: str) -> DeliveryError:
    if "matching keys" in problem:
        return DeliveryError(f"{path}: is not encrypted to this key; use the private key that belongs to the recipient")
    return DeliveryError(f"{path}: was changed or cut since it was encrypted ({problem}); fetch it again")


def read_members(path: Path, identity: Any) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield the members of the object at `path` in their order, with their bytes; None for what is no regular file.

    Raises:
        DeliveryError: it is not encrypted to `identity`, or was changed or cut.
    """
    with decrypted(path, identity) as stream, tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as tar:
        for member in tar:
            yield member, tar.extractfile(member) if member.isreg() else None
