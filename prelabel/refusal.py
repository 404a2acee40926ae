"""Why an item cannot be taken in: a closed set of reasons, each with a sentence."""

from enum import Enum

from contract.errors import SourceError


class Reason(str, Enum):
    """The codes of `rejects.reason` that intake gives."""

    CORRUPT = "corrupt"  # cannot be decoded or parsed
    TRUNCATED = "truncated"  # the end is missing
    EMPTY = "empty"  # no bytes, or a text without a character that shows
    UNSUPPORTED = "unsupported"  # sound, but not of a kind that is taken in
    OVERSIZED = "oversized"  # beyond a limit of the terms
    ENCODING = "encoding"  # a text that is neither UTF-8 nor GB18030
    NO_VIDEO = "no_video"  # sound without pictures
    DUPLICATE = "duplicate"  # the content of an earlier item
    DUPLICATE_ID = "duplicate_id"  # the id of an earlier item
    SHA256_MISMATCH = "sha256_mismatch"  # not the file that its manifest names
    OUTSIDE = "outside"  # a link or a path that leaves its source folder
    LINK = "link"  # a linked folder: its content is taken in under its own path
    HIDDEN = "hidden"  # a name that begins with a dot, or litter of an operating system
    UNREADABLE = "unreadable"  # no permission, or the device failed
    SPECIAL = "special"  # a pipe, socket or device
    NAME = "name"  # a file name that is not valid UTF-8
    MISSING = "missing"  # named by a manifest and not there


class RefusedError(SourceError):
    """One item is refused; `reason` is the code and `str()` the sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
