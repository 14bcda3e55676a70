"""What each kind of cell may say: text as it stands in a file becomes a value, or a reason why it cannot."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from shared.registry.durations import parse_duration
from shared.time_zones import zone_called
from shared.topology import GATEWAY_ID

MAX_TEXT = 200
MAX_SERIAL = 64

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SPREADSHEET_NUMBER = re.compile(r"[0-9][.,][0-9]+E\+[0-9]+")
FIELD_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
EARLIEST_YEAR = 1970
HOW_TO_WRITE_TIMES = "write 2024-01-31T12:00:00+01:00, or 2024-01-31 for its midnight"

E = TypeVar("E", bound=StrEnum)


def text(cell: str) -> str:
    """A name: one line, at most 200 characters, composed (NFC) so that it is equal to what looks equal."""
    if not cell.isprintable():
        _refuse_unprintable(cell, fine="Zs")
    if len(cell) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    return unicodedata.normalize("NFC", cell)


def slug(cell: str) -> str:
    """A tenant's short name."""
    if not SLUG.fullmatch(cell):
        raise ValueError("must be 1-63 lower-case letters, digits and hyphens, and not begin with a hyphen")
    return cell


def gateway_id(cell: str) -> str:
    """A gateway's id. A dot or a sign of regular expressions would open a hole in its rights on the broker."""
    if not GATEWAY_ID.fullmatch(cell):
        raise ValueError("must be 1-64 letters, digits, hyphens and underscores")
    return cell


def meter_serial(cell: str) -> str:
    """A meter's serial: text, because leading zeros and hexadecimal digits occur."""
    if not cell.isprintable():
        _refuse_unprintable(cell, fine="")
    if len(cell) > MAX_SERIAL:
        raise ValueError(f"is longer than {MAX_SERIAL} characters")
    if SPREADSHEET_NUMBER.fullmatch(cell):
        raise ValueError("is a number that a spreadsheet has rounded; format the column as text")
    return cell


def field_name(cell: str) -> str:
    """The name of a field of a telegram."""
    if not FIELD_NAME.fullmatch(cell):
        raise ValueError("must be a field's name: 1-100 letters, digits, hyphens and underscores")
    return cell


def one_of(values: type[E], cell: str) -> E:
    """One of the words of `values`."""
    try:
        return values(cell)
    except ValueError:
        raise ValueError(f"is unknown; known are {', '.join(values)}") from None


def moment(cell: str) -> datetime | date:
    """A time with its offset from UTC, as UTC; or a date, whose midnight depends on the tenant's time zone."""
    try:
        said = date.fromisoformat(cell) if DATE.fullmatch(cell) else datetime.fromisoformat(cell)
        if isinstance(said, datetime) and said.tzinfo is not None:
            said = said.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"is no time; {HOW_TO_WRITE_TIMES}") from None
    if isinstance(said, datetime) and said.tzinfo is None:
        raise ValueError(f"has no offset from UTC; {HOW_TO_WRITE_TIMES}")
    if said.year < EARLIEST_YEAR:
        raise ValueError(f"is before {EARLIEST_YEAR}")
    return said


def uuid(cell: str) -> UUID:
    """An id in its usual form."""
    try:
        return UUID(cell)
    except ValueError:
        raise ValueError("is no UUID") from None


def month(cell: str) -> int:
    """A month of the year."""
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= 2 and 1 <= int(cell) <= 12):  # noqa: PLR2004 - months
        raise ValueError("must be a month, 1 to 12")
    return int(cell)


def interval(cell: str) -> timedelta:
    """How often a meter is expected to be heard; at most a year."""
    duration = parse_duration(cell)
    if duration > timedelta(days=366):
        raise ValueError("is longer than a year")
    return duration


def time_zone(cell: str) -> str:
    """A time zone's name."""
    return zone_called(cell).key


def _refuse_unprintable(cell: str, *, fine: str) -> None:
    """Refuse control characters, invisible ones and lone surrogates; `fine` is a Unicode category that may stand."""
    for character in cell:
        if not character.isprintable() and unicodedata.category(character) != fine:
            raise ValueError(f"holds the character U+{ord(character):04X}, which cannot be seen")
