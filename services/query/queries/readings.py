"""Pages of readings: the hot path, so rows come straight from the driver and become JSON without an ORM between."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import Field

from services.query.database import QueryDatabase
from shared.http.pages import Page
from shared.http.times import format_time

# One round trip: the function sets the tenant for row-level security, looks the installation up, and reads the page.
PAGE = "SELECT * FROM readings_page($1, $2, $3, $4)"
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Reading:
    """What a meter showed at a time. The order of the fields is that of the columns of `readings_page`."""

    meter_installation_id: UUID
    timestamp: Annotated[datetime, Field(description="When the meter showed it, by the gateway (UTC).")]
    value: Annotated[float, Field(description="In the installation's `unit_of_measure`.")]
    rssi_dbm: Annotated[int | None, Field(description="Strength of the radio signal at the gateway, in dBm.")]
    battery_level_pct: Annotated[int | None, Field(description="What is left of the meter's battery, in percent.")]
    received_at: Annotated[datetime, Field(description="When the transmission arrived here (UTC).")]


@dataclass(slots=True)
class ReadingsPage(Page):
    """Readings of one installation, newest first; `next_cursor` is the last one's timestamp."""

    items: list[Reading]


async def readings_page(
    database: QueryDatabase, *, tenant_id: UUID, installation_id: UUID, before: datetime | None, limit: int
) -> ReadingsPage | None:
    """The newest `limit` readings before `before` (exclusive), or None when the tenant has no such installation."""
    async with database.driver() as connection:
        try:
            rows = await connection.fetch(PAGE, tenant_id, installation_id, before or END_OF_TIME, limit + 1)
        except asyncpg.NoDataFoundError:
            return None
    items = [Reading(*row) for row in rows[:limit]]
    has_next = len(rows) > limit
    return ReadingsPage(items, format_time(items[-1].timestamp) if has_next else None, has_next)
