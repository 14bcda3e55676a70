"""Writes accepted readings: what is surely new by COPY, the rest by one statement that merges a temporary table.

A key that is there already with the same value is not touched. One with another value is a correction: the newer
transmission wins, and the trigger on `reading` keeps the old value.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.copy_rows import COLUMNS, encode
from services.ingest.frontier import Frontier
from services.ingest.verdicts import Accepted

INCOMING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_reading (
        meter_installation_id uuid, "timestamp" timestamptz, value double precision, received_at timestamptz,
        rssi_dbm smallint, battery_level_pct smallint
    ) ON COMMIT DELETE ROWS
"""
# In the order of the key, as COPY is, so that two writers at once on the same keys wait for each other instead of
# deadlocking.
_MERGE = """
    WITH merged AS (
        INSERT INTO reading AS stored (meter_installation_id, "timestamp", value, received_at, rssi_dbm,
                                       battery_level_pct)
        SELECT meter_installation_id, "timestamp", value, received_at, rssi_dbm, battery_level_pct
        FROM incoming_reading
        ORDER BY meter_installation_id, "timestamp"
        ON CONFLICT (meter_installation_id, "timestamp") DO {on_conflict}
        RETURNING (stored.xmax = 0) AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new) AS stored, count(*) FILTER (WHERE NOT is_new) AS corrected FROM merged
"""
MERGE_AND_CORRECT = _MERGE.format(
    on_conflict="""
        UPDATE SET value = excluded.value, received_at = excluded.received_at, rssi_dbm = excluded.rssi_dbm,
                   battery_level_pct = excluded.battery_level_pct
        WHERE stored.value IS DISTINCT FROM excluded.value AND stored.received_at < excluded.received_at"""
)
MERGE_NEW_ONLY = _MERGE.format(on_conflict="NOTHING")


class Merged(NamedTuple):
    """How many rows a merge added and how many it corrected; the rest of the batch changed nothing."""

    stored: int
    corrected: int


@dataclass
class Round:
    """Readings of which no two have the same key, for one merge."""

    corrects: bool
    readings: dict[int, Accepted] = field(default_factory=dict)


def plan_rounds(readings: Sequence[Accepted]) -> list[Round]:
    """Arrange readings so that merging round after round acts as one by one would.

    Nearly always all fit in one round.
    """
    first = Round(corrects=True, readings={reading.key: reading for reading in readings})
    if len(first.readings) == len(readings) and all(reading.delivery.may_correct for reading in readings):
        return [first]
    return _plan_one_by_one(readings)


def _plan_one_by_one(readings: Iterable[Accepted]) -> list[Round]:
    """The order of acceptance by the broker decides.

    Another value that was not accepted later than the one before it changes nothing, and is left out. The same value
    once more takes that one's place: what the table holds may have been accepted between the two.
    """
    new_only = Round(corrects=False)
    rounds: list[Round] = []
    last: dict[int, tuple[int, Accepted]] = {}
    for reading in sorted(readings, key=lambda reading: reading.delivery.received):
        if not reading.delivery.may_correct:
            new_only.readings.setdefault(reading.key, reading)
            continue
        number, before = last.get(reading.key, (-1, None))
        if before is not None and before.value != reading.value:
            if before.delivery.received == reading.delivery.received:
                continue
            number += 1
        number = max(number, 0)
        last[reading.key] = (number, reading)
        if number == len(rounds):
            rounds.append(Round(corrects=True))
        rounds[number].readings[reading.key] = reading
    # Last: what may be older than it looks fills only what the others leave empty.
    return [*rounds, new_only] if new_only.readings else rounds


async def write(connection: AsyncConnection, rounds: Sequence[Round], frontier: Frontier) -> Merged:
    """Write `rounds` in the transaction of `connection`, which must have begun with a statement already."""
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"COPY needs asyncpg, not {type(driver)}")
    stored = corrected = 0
    is_used = False
    for one in rounds:
        readings = list(one.readings.values())
        if one is rounds[0]:
            new, readings = frontier.split(readings)
            if new and await _append(connection, driver, new, frontier):
                stored += len(new)
            else:
                readings += new
        if readings:
            await connection.exec_driver_sql("TRUNCATE incoming_reading" if is_used else INCOMING)
            is_used = True
            merged = await _merge(connection, driver, readings, MERGE_AND_CORRECT if one.corrects else MERGE_NEW_ONLY)
            stored += merged.stored
            corrected += merged.corrected
    return Merged(stored, corrected)


async def _append(
    connection: AsyncConnection, driver: asyncpg.Connection, readings: Sequence[Accepted], frontier: Frontier
) -> bool:
    """Add `readings` as they are; False, and nothing is added, when one of them is there already."""
    try:
        async with connection.begin_nested():
            await _copy(driver, readings, into="reading")
    except asyncpg.UniqueViolationError:
        frontier.was_wrong()
        return False
    frontier.was_right()
    return True


async def _merge(
    connection: AsyncConnection, driver: asyncpg.Connection, readings: Sequence[Accepted], statement: str
) -> Merged:
    await _copy(driver, readings, into="incoming_reading", schema="pg_temp")
    row = (await connection.exec_driver_sql(statement)).one()
    return Merged(row.stored, row.corrected)


async def _copy(
    driver: asyncpg.Connection, readings: Sequence[Accepted], *, into: str, schema: str | None = None
) -> None:
    await driver.copy_to_table(
        into, source=_once(encode(readings)), columns=COLUMNS, schema_name=schema, format="binary"
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
