"""Writes accepted readings: what is surely new by COPY, the rest by one statement that merges a temporary table.

A key that is there already with the same value is not touched. One with another value is a correction: the newer
transmission wins, and the trigger on `reading` keeps the old value.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.batches import Batch, Stored, in_batches
from services.ingest.copy_rows import COLUMNS, encode
from services.ingest.frontier import Frontier
from services.ingest.moments import moment
from services.ingest.verdicts import Accepted

INCOMING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_reading (
        batch bigint, meter_installation_id uuid, "timestamp" timestamptz, value double precision,
        received_at timestamptz, rssi_dbm smallint, battery_level_pct smallint
    ) ON COMMIT DELETE ROWS
"""
# In the order in which COPY is (services/ingest/batches.py), so that two statements on the same keys wait for each
# other instead of deadlocking.
_MERGE = """
    WITH merged AS (
        INSERT INTO reading AS stored (batch, meter_installation_id, "timestamp", value, received_at, rssi_dbm,
                                       battery_level_pct)
        SELECT batch, meter_installation_id, "timestamp", value, received_at, rssi_dbm, battery_level_pct
        FROM incoming_reading
        ORDER BY batch, meter_installation_id, "timestamp"
        ON CONFLICT (meter_installation_id, "timestamp") DO {on_conflict}
        RETURNING batch, "timestamp", (stored.xmax = 0) AS is_new
    )
    SELECT batch, count(*) FILTER (WHERE is_new) AS stored, count(*) FILTER (WHERE NOT is_new) AS corrected,
           min("timestamp") AS earliest, max("timestamp") AS latest
    FROM merged GROUP BY batch ORDER BY batch
"""
MERGE_AND_CORRECT = _MERGE.format(
    on_conflict="""
        UPDATE SET batch = excluded.batch, value = excluded.value, received_at = excluded.received_at,
                   rssi_dbm = excluded.rssi_dbm, battery_level_pct = excluded.battery_level_pct
        WHERE stored.value IS DISTINCT FROM excluded.value AND stored.received_at < excluded.received_at"""
)
MERGE_NEW_ONLY = _MERGE.format(on_conflict="NOTHING")


class Merged(NamedTuple):
    """How many rows a merge added and how many it corrected, in which batches; the rest changed nothing."""

    stored: int = 0
    corrected: int = 0
    batches: tuple[Stored, ...] = ()

    def and_also(self, other: "Merged") -> "Merged":
        """Both together."""
        return Merged(self.stored + other.stored, self.corrected + other.corrected, self.batches + other.batches)


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


async def write(
    connection: AsyncConnection, rounds: Sequence[Round], frontier: Frontier, numbers: Iterator[int]
) -> Merged:
    """Write `rounds` in the transaction of `connection`, which must have begun with a statement already.

    Batches get `numbers`, which nobody else has, and which rise.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"COPY needs asyncpg, not {type(driver)}")
    merged = Merged()
    is_used = False
    for one in rounds:
        readings = list(one.readings.values())
        if one is rounds[0]:
            new, readings = frontier.split(readings)
            appended = await _append(connection, driver, in_batches(new, numbers), frontier) if new else Merged()
            if appended is None:
                readings += new
            else:
                merged = merged.and_also(appended)
        if readings:
            await connection.exec_driver_sql("TRUNCATE incoming_reading" if is_used else INCOMING)
            is_used = True
            statement = MERGE_AND_CORRECT if one.corrects else MERGE_NEW_ONLY
            merged = merged.and_also(await _merge(connection, driver, in_batches(readings, numbers), statement))
    return merged


async def _append(
    connection: AsyncConnection, driver: asyncpg.Connection, batches: Sequence[Batch], frontier: Frontier
) -> Merged | None:
    """Add `batches` as they are; None, and nothing is added, when one of their readings is there already."""
    try:
        async with connection.begin_nested():
            await _copy(driver, batches, into="reading")
    except asyncpg.UniqueViolationError:
        frontier.was_wrong()
        return None
    frontier.was_right()
    stored = tuple(
        Stored(batch.number, batch.tenant_id, len(batch.rows), batch.earliest, batch.latest) for batch in batches
    )
    return Merged(stored=sum(one.readings for one in stored), batches=stored)


async def _merge(
    connection: AsyncConnection, driver: asyncpg.Connection, batches: Sequence[Batch], statement: str
) -> Merged:
    await _copy(driver, batches, into="incoming_reading", schema="pg_temp")
    tenants = {batch.number: batch.tenant_id for batch in batches}
    rows = (await connection.exec_driver_sql(statement)).all()
    return Merged(
        sum(row.stored for row in rows),
        sum(row.corrected for row in rows),
        tuple(
            Stored(row.batch, tenants[row.batch], row.stored + row.corrected, moment(row.earliest), moment(row.latest))
            for row in rows
        ),
    )


async def _copy(driver: asyncpg.Connection, batches: Sequence[Batch], *, into: str, schema: str | None = None) -> None:
    source = _one_by_one(encode((batch.number, batch.rows) for batch in batches))
    await driver.copy_to_table(into, source=source, columns=COLUMNS, schema_name=schema, format="binary")


async def _one_by_one(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
