"""Packages at speed: GB/s of writing, verifying and opening, beside sha256sum and, where it is installed, age.

    python benchmarks/package_speed.py [--gigabytes 2] [--small-files 20000] [--repeats 5] [--data FOLDER] [--out FILE]

Two packages are measured: large files (256 MB each) and small ones (50 kB each, as images are). One warm-up, then the median
and the spread of the repeats; the page cache is warm for all of them, so that the disk is not what is measured.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

LARGE: Final = 256 << 20
SMALL: Final = 50_000


def read_only(path: Path) -> BinaryIO:
    """Open a file for reading."""
    return path.open("rb")


def files_of(folder: Path, sizes: list[int]) -> list[Any]:
    """Write files that do not compress and return them as contents of a package."""
    from contract.files import sha256_file
    from delivery.objects import Content

    folder.mkdir()
    found = []
    for number, size in enumerate(sizes):
        path = folder / f"{number:06d}.bin"
        path.write_bytes(os.urandom(size))
        found.append(Content(path.name, size, sha256_file(path), partial(read_only, path)))
    return found


def write_package(folder: Path, contents: list[Any], keys: Path) -> None:
    """Write a package of `contents` with an empty list of lots."""
    from delivery.keys import read_recipient, read_signer
    from delivery.manifest import Manifest, manifest_bytes
    from delivery.package import finish, open_plan, write_objects

    signer = read_signer(keys / "vendor.key")
    plan = open_plan(folder, "SPEED", 1, signer=signer, recipients=[read_recipient(keys / "client.pub")])
    stored, files = write_objects(folder, plan, contents)
    manifest = Manifest(
        contract="SPEED",
        purpose="speed",
        number=1,
        created=plan.created,
        signer=plan.signer,
        terms_sha256="0" * 64,
        guideline_version="1",
        guideline_sha256="0" * 64,
        formats=(),
        lots=(),
        files=tuple(files),
        checkpoint=None,
    )
    finish(folder, plan, stored, manifest_bytes(manifest), signer)


def timed(what: Callable[[], Any], before: Callable[[], Any], *, repeats: int, bytes_: int) -> dict[str, Any]:
    """Run `what` once to warm up and `repeats` times, `before` untimed each time, and return GB/s."""
    rates = []
    for number in range(repeats + 1):
        before()
        begin = time.perf_counter()
        what()
        if number:
            rates.append(bytes_ / (time.perf_counter() - begin) / 1e9)
    return {"gb_per_s": round(statistics.median(rates), 4), "spread": [round(min(rates), 4), round(max(rates), 4)]}


def measure(base: Path, sizes: list[int], *, repeats: int) -> dict[str, Any]:
    """Measure one kind of package and its peers."""
    from delivery import keys
    from delivery.opening import unpack, verify_package

    contents = files_of(base / "files", sizes)
    keys.make_signing_key(base / "vendor.key", "vendor.example")
    recipient = keys.make_recipient_key(base / "client.key", "client.example")
    signatory, identity = keys.read_signatory(base / "vendor.pub"), keys.read_identity(base / "client.key")
    package, out = base / "package", base / "out"
    rate = partial(timed, repeats=repeats, bytes_=sum(sizes))
    clear = partial(shutil.rmtree, package, ignore_errors=True)
    found = {"files": len(sizes), "bytes": sum(sizes), "write": rate(lambda: write_package(package, contents, base), clear)}
    found["verify_signature"] = rate(lambda: verify_package(package, signatory), lambda: None)
    found["verify_inside"] = rate(lambda: verify_package(package, signatory, identity=identity), lambda: None)
    found["unpack"] = rate(
        lambda: unpack(package, signatory, out, identity=identity, step=lambda *_: None),
        partial(shutil.rmtree, out, ignore_errors=True),
    )
    names = [str(path) for path in sorted((base / "files").iterdir())]
    found["sha256sum"] = rate(partial(_run, ["xargs", "-0", "sha256sum"], "\0".join(names).encode()), lambda: None)
    if shutil.which("age"):
        command = f"tar -C {base}/files -cf - . | age -r {recipient.key} > {base}/peer.age"
        found["tar_age"] = rate(partial(_run, ["sh", "-c", command], b""), lambda: None)
    return found


def _run(command: list[str], given: bytes) -> None:
    subprocess.run(command, input=given, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and print or write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--small-files", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in ("cryptography", "pyrage")},
        "repeats": asked.repeats,
    }
    count, rest = divmod(int(asked.gigabytes * 1e9), LARGE)
    for name, sizes in (("large", [LARGE] * count + [rest]), ("small", [SMALL] * asked.small_files)):
        with tempfile.TemporaryDirectory(dir=asked.data) as folder:
            result[name] = measure(Path(folder), sizes, repeats=asked.repeats)
    text = json.dumps(result, indent=2)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
