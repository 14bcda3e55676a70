"""Times in URLs and bodies: ISO 8601 with an offset, read forgivingly, written in UTC with `Z`; and days."""

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(?P<offset>Z|[ +-]\d{2}:?\d{2})?", re.ASCII | re.IGNORECASE
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SUCH_AS = "must be an ISO 8601 time, such as 2026-11-01T05:00:00Z"
_A_DAY = "a date, such as 2026-11-01"
_OR_A_DAY = f"{_SUCH_AS}, or {_A_DAY}"


def parse_time(text: object) -> datetime:
    """`text` as a time in UTC. Raises `ValueError` for what is no time, has no offset, or is no year of 1-9999.

    A `+` that arrived as a space, as an unescaped one in a URL does, is read as `+`.
    """
    if not isinstance(text, str):
        raise ValueError("must be a time")  # noqa: TRY004 - pydantic answers a ValueError, and lets a TypeError through
    # `fromisoformat` alone takes weeks, dates without a time, and a NUL after the `Z`.
    form = _TIME.fullmatch(text)
    if form is None:
        raise ValueError(_SUCH_AS)
    if form["offset"] is None:
        raise ValueError("must have an offset or end in Z")
    offset_at = form.start("offset")
    try:
        return datetime.fromisoformat(text[:offset_at] + text[offset_at:].upper().replace(" ", "+")).astimezone(UTC)
    except ValueError:
        raise ValueError(_SUCH_AS) from None
    except OverflowError:
        raise ValueError("must lie in the years 0001 to 9999, in UTC") from None


def format_time(time: datetime) -> str:
    """`time` in UTC, ending in `Z`, with microseconds when there are any: fit for a URL as it is."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


Time = Annotated[datetime, BeforeValidator(parse_time)]
"""A query parameter that is a time."""


def parse_day(text: object) -> date:
    """`text` as a day. Raises `ValueError` for what is none."""
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise ValueError(f"must be {_A_DAY}")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be {_A_DAY}") from None


Day = Annotated[date, BeforeValidator(parse_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A field that is a day."""


def parse_day_or_time(text: object) -> date | datetime:
    """`text` as a time in UTC, or as a day when it is a date alone. Raises `ValueError` for what is neither."""
    if isinstance(text, str) and _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise ValueError(_OR_A_DAY) from None
    try:
        return parse_time(text)
    except ValueError as error:
        raise ValueError(_OR_A_DAY if str(error) == _SUCH_AS else str(error)) from None


DayOrTime = Annotated[
    datetime | date,
    BeforeValidator(parse_day_or_time),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]
"""A query parameter that is a day or a time."""
