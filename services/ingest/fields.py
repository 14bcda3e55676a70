"""What single fields of a reading must be, in whichever format it was sent."""

import reprlib
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

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
    return _read(value, kind) is not None


def read_time(text: str) -> datetime | None:
    """An ISO 8601 time with an offset, as RFC 3339 has them; None for anything else."""
    time: datetime | None = _read(text, TimeWithOffset)
    return time


def read_id(text: str) -> UUID | None:
    """An installation's id; None for what is no UUID."""
    id_: UUID | None = _read(text, UUID)
    return id_


def _read(value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the second for lone surrogates
        return None


def fault_of_time(time: object) -> Refused | None:
    """Why `time` is no time with an offset from UTC, if it is none."""
    return None if isinstance(time, str) and read_time(time) is not None else no_time(time)


def no_time(time: object) -> Refused:
    """Refuse what is no time with an offset from UTC."""
    if isinstance(time, str) and converts(time, datetime):
        return Refused(Reason.NAIVE_TIMESTAMP, f"timestamp has no offset from UTC: {shown(time)}")
    return Refused(Reason.INVALID_TIMESTAMP, f"timestamp is no ISO 8601 time: {shown(time)}")


def shown(value: object) -> str:
    """The value as text that can be stored and printed: no control characters, not too long."""
    if isinstance(value, str):
        value = value[:MAX_SHOWN]  # before it is copied: it may be the whole message
    text = reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
