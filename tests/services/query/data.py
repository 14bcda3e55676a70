"""Rows that the other services write, for tests of what query reads."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.models import READING_BATCH


async def add_readings(engine: AsyncEngine, installation_id: UUID, times: Iterable[datetime]) -> None:
    """One reading at each of `times`, with values 0, 1, 2 …, received when it was measured; all in one commit."""
    insert = text("INSERT INTO reading VALUES (:id, :at, :value, :at, -70, 96, :batch)")
    note = text(
        "SELECT note_changes(array_agg(tenant_id), ARRAY[cast(:batch AS bigint)], ARRAY[1000],"
        " ARRAY[timestamptz '-infinity'], ARRAY[timestamptz 'infinity']) FROM meter_installation WHERE id = :id"
    )
    async with engine.begin() as connection:
        batch = await connection.scalar(select(READING_BATCH.next_value()))
        for number, at in enumerate(times):
            parameters = {"id": installation_id, "at": at, "value": float(number), "batch": batch}
            await connection.execute(insert, parameters)
        await connection.execute(note, {"id": installation_id, "batch": batch})


async def set_status(
    engine: AsyncEngine, installation_id: UUID, *, state: str, last_reading_at: datetime | None = None
) -> None:
    """What alerts would have written; a last reading has the value 1.5."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE installation_status SET state = :state, last_reading_at = cast(:at AS timestamptz),"
                " last_value = CASE WHEN cast(:at AS timestamptz) IS NOT NULL THEN 1.5 END,"
                " last_rssi_dbm = -70, last_battery_level_pct = 96 WHERE installation_id = :id"
            ),
            {"id": installation_id, "state": state, "at": last_reading_at},
        )
