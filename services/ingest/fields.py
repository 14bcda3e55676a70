"""What single fields of a reading must be, in whichever format it was sent."""

import reprlib
from datetime import datetime
from typing import Annotated, Any

import msgspec

from services.ingest.reasons import Reason, Refused

MAX_FLOAT = 1.7976931348623157e308
"""The largest finite double; NaN compares false with it, infinities and larger integers exceed it."""

MAX_SHOWN = 120

TimeWithOffset = Annotated[datetime, msgspec.Meta(tz=True)]


def is_number(value: object) -> bool:
    """Whether a decoded value is a finite number: no boolean, no text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_FLOAT


def converts(value: object, kind: Any) -> bool:
    """Whether a decoded value can be read as `kind`."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def fault_of_time(time: object) -> Refused | None:
    """Why `time` is no time with an offset from UTC, if it is none."""
    if not isinstance(time, str) or not converts(time, datetime):
        return Refused(Reason.INVALID_TIMESTAMP, f"timestamp is no ISO 8601 time: {shown(time)}")
    if not converts(time, TimeWithOffset):
        return Refused(Reason.NAIVE_TIMESTAMP, f"timestamp has no offset from UTC: {shown(time)}")
    return None


def shown(value: object) -> str:
    """The value as text that can be stored and printed: no control characters, not too long."""
    if isinstance(value, str):
        value = value[:MAX_SHOWN]  # before it is copied: it may be the whole message
    text = reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
