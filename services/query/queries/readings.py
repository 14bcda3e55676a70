"""Pages of readings: the hot path. PostgreSQL writes the items as JSON, and nothing here looks into them.

Each page is one call of a function of the database, which keeps to the caller's reach (docs/architecture/isolation.md)
and reads what the page needs and little more (docs/architecture/query.md).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from services.query.database import QueryDatabase
from shared.http.cursors import CursorError, decode_cursor, encode_cursor
from shared.http.fields import BatteryLevelPct, InstallationId, MeasuredAt, ReceivedAt, RssiDbm, Value
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.http.times import format_time, parse_time
from shared.models import Medium

INSTALLATIONS_MAX = 5000
"""A page of so many takes the database 45 ms (docs/architecture/query.md); the largest of buildings has fewer."""


class TimeOrder(StrEnum):
    """The direction of a list of readings, by time."""

    DESC = "desc"
    ASC = "asc"


PAGE_OF_ONE = {
    TimeOrder.DESC: "SELECT * FROM readings_newest_first($1, $2, $3, $4, $5, $6)",
    TimeOrder.ASC: "SELECT * FROM readings_oldest_first($1, $2, $3, $4, $5, $6)",
}
PAGE_OF_SEVERAL = {
    TimeOrder.DESC: "SELECT * FROM readings_of_several_newest_first($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    TimeOrder.ASC: "SELECT * FROM readings_of_several_oldest_first($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
}


@dataclass(slots=True)
class Reading:
    """What a meter showed at a time. `meter_installation_id` and `timestamp` together are its identity."""

    meter_installation_id: InstallationId
    timestamp: MeasuredAt
    value: Value
    rssi_dbm: RssiDbm
    battery_level_pct: BatteryLevelPct
    received_at: ReceivedAt


@dataclass(slots=True)
class ReadingsPage(Page):
    """Readings by time; of several installations, those of the same time by installation."""

    items: Annotated[list[Reading], Field(description="The readings of this page.")]


@dataclass(slots=True)
class WrittenPage:
    """A `ReadingsPage` whose items are JSON already."""

    items: msgspec.Raw
    next_cursor: str | None
    has_next: bool


@dataclass(frozen=True, slots=True)
class Period:
    """Which readings by time: later than `after` and earlier than `before`, in the direction `order`."""

    after: datetime | None = None
    before: datetime | None = None
    order: TimeOrder = TimeOrder.DESC


@dataclass(frozen=True, slots=True)
class Selection:
    """Which installations: those that fulfil every filter, each by any of its values. An empty one is none."""

    installation_ids: tuple[UUID, ...] = ()
    property_ids: tuple[UUID, ...] = ()
    unit_ids: tuple[UUID, ...] = ()
    media: tuple[Medium, ...] = ()

    @property
    def is_of_one(self) -> bool:
        """Whether it names one installation and nothing else, so that it may be missing."""
        return len(self.installation_ids) == 1 and not (self.property_ids or self.unit_ids or self.media)


class TooManyInstallationsError(Exception):
    """A selection of more than `INSTALLATIONS_MAX` installations; `selected` says how many."""

    def __init__(self, selected: int) -> None:
        super().__init__(f"{selected} installations are selected, and at most {INSTALLATIONS_MAX} can be")
        self.selected = selected


async def readings_of_one(
    database: QueryDatabase, *, reach: Reach, installation_id: UUID, period: Period, cursor: str | None, limit: int
) -> WrittenPage | None:
    """Up to `limit` readings of the installation, or None when it is not within `reach`.

    Its cursor is the time of the last item; raises `CursorError` for what is no time.
    """
    period = _narrowed(period, cursor)
    async with database.driver_for(reach.tenant_id) as connection:
        ((is_there, items, next_time),) = await connection.fetch(
            PAGE_OF_ONE[period.order],
            reach.tenant_id,
            reach.property_ids,
            installation_id,
            period.after,
            period.before,
            limit,
        )
    if not is_there:
        return None
    return _written(items, None if next_time is None else format_time(next_time))


async def readings_of_several(
    database: QueryDatabase, *, reach: Reach, selection: Selection, period: Period, cursor: str | None, limit: int
) -> WrittenPage:
    """Up to `limit` readings of the selected installations within `reach`, the deleted ones too.

    Raises `CursorError` for a cursor of another list, and `TooManyInstallationsError`.
    """
    scope = ("readings", reach.tenant_id, _filters(selection), period)
    at_time, at_id = (None, None) if cursor is None else decode_cursor(cursor, tuple[datetime, UUID], scope=scope)
    async with database.driver_for(reach.tenant_id) as connection:
        ((selected, items, next_time, next_id),) = await connection.fetch(
            PAGE_OF_SEVERAL[period.order],
            reach.tenant_id,
            reach.property_ids,
            selection.installation_ids or None,
            selection.property_ids or None,
            selection.unit_ids or None,
            selection.media or None,
            period.after,
            period.before,
            at_time,
            at_id,
            limit,
            INSTALLATIONS_MAX,
        )
    if selected > INSTALLATIONS_MAX:
        raise TooManyInstallationsError(selected)
    return _written(items, None if next_time is None else encode_cursor((next_time, next_id), scope=scope))


def _narrowed(period: Period, cursor: str | None) -> Period:
    if cursor is None:
        return period
    try:
        time = parse_time(cursor)
    except ValueError:
        raise CursorError("is not a cursor of this list") from None
    if period.order is TimeOrder.DESC:
        return Period(period.after, time if period.before is None else min(time, period.before), period.order)
    return Period(time if period.after is None else max(time, period.after), period.before, period.order)


def _filters(selection: Selection) -> list[list[str]]:
    """The selection as its cursors know it: the order in which ids were given does not matter."""
    of_all = (selection.installation_ids, selection.property_ids, selection.unit_ids, selection.media)
    return [sorted(map(str, values)) for values in of_all]


def _written(items: str | None, next_cursor: str | None) -> WrittenPage:
    return WrittenPage(msgspec.Raw(f"[{items or ''}]".encode()), next_cursor, next_cursor is not None)
