"""What `reading` itself says of installations, whatever became of the events that told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Uuid

from shared.messages.alert_events import LastReading


@dataclass(frozen=True)
class StoredReading:
    """A reading as it is stored: what is told of it, and when it was received."""

    told: LastReading
    received_at: datetime


# One look into the key of `reading` for each, whatever the size of the table: LATERAL, ORDER BY and LIMIT.
NEWEST = text(
    """
    SELECT known.id, newest."timestamp", newest.value, newest.rssi_dbm, newest.battery_level_pct, newest.received_at
    FROM unnest(:ids, :after) AS known (id, after)
    CROSS JOIN LATERAL (
        SELECT "timestamp", value, rssi_dbm, battery_level_pct, received_at FROM reading
        WHERE meter_installation_id = known.id AND "timestamp" > coalesce(known.after, '-infinity')
        ORDER BY "timestamp" DESC LIMIT 1
    ) AS newest
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("after", type_=ARRAY(DateTime(timezone=True))))

FIRST = text(
    """
    SELECT known.id, first."timestamp"
    FROM unnest(:ids, :after) AS known (id, after)
    CROSS JOIN LATERAL (
        SELECT "timestamp" FROM reading
        WHERE meter_installation_id = known.id AND "timestamp" > coalesce(known.after, '-infinity')
        ORDER BY "timestamp" LIMIT 1
    ) AS first
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("after", type_=ARRAY(DateTime(timezone=True))))


async def newest_after(connection: AsyncConnection, after: Mapping[UUID, datetime | None]) -> dict[UUID, StoredReading]:
    """The newest reading of each installation that has one after its moment (None: any)."""
    if not after:
        return {}
    found = await connection.execute(NEWEST, {"ids": list(after), "after": list(after.values())})
    return {
        row.id: StoredReading(
            LastReading(
                timestamp=row.timestamp,
                value=row.value,
                rssi_dbm=row.rssi_dbm,
                battery_level_pct=row.battery_level_pct,
            ),
            row.received_at,
        )
        for row in found
    }


async def first_after(connection: AsyncConnection, after: Mapping[UUID, datetime | None]) -> dict[UUID, datetime]:
    """The time of the oldest reading of each installation that has one after its moment (None: any)."""
    if not after:
        return {}
    found = await connection.execute(FIRST, {"ids": list(after), "after": list(after.values())})
    return {row.id: row.timestamp for row in found}
