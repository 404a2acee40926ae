"""Points in time as other programs write them (ISO 8601, RFC 3339), which sort as times and not as texts.

"2026-01-01T00:00:40Z" is earlier than "2026-01-01T00:00:40.5Z" and sorts after it as a text.
"""

import re
from datetime import datetime, timezone
from typing import Any, Final

_SHAPE: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*(Z|z|[+-]\d\d:?\d\d)?", re.ASCII)


def instant(text: Any) -> datetime | None:
    """Return a date with a time in UTC, where no offset is given as if it were; None for what is none.

    Fractions count down to the microsecond.
    """
    shape = _SHAPE.fullmatch(text.strip()) if isinstance(text, str) else None
    if shape is None:
        return None
    whole, fraction, offset = shape.groups()
    offset = "+00:00" if offset in (None, "Z", "z") else f"{offset[:3]}:{offset[-2:]}"
    try:
        return datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6]:0<6}{offset}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
