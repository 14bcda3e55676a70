"""Writes accepted readings: COPY into a temporary table, then one statement that merges it into `reading`.

A key that is there already with the same value is not touched. One with another value is a correction: the newer
transmission wins, and the trigger on `reading` keeps the old value.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.copy_rows import COLUMNS, encode
from services.ingest.verdicts import Accepted

INCOMING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_reading (
        meter_installation_id uuid, "timestamp" timestamptz, value double precision, received_at timestamptz,
        rssi_dbm smallint, battery_level_pct smallint
    ) ON COMMIT DELETE ROWS
"""
# In the order of the key, so that two writers at once on the same keys wait for each other instead of deadlocking.
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

    What would change nothing needs no merge and is left out: the value that its key has last, and another value that
    was not accepted later than it.
    """
    new_only = Round(corrects=False)
    rounds: list[Round] = []
    last: dict[int, tuple[int, Accepted]] = {}
    for reading in sorted(readings, key=lambda reading: reading.delivery.received):
        if not reading.delivery.may_correct:
            new_only.readings.setdefault(reading.key, reading)
            continue
        number, before = last.get(reading.key, (-1, None))
        if before is not None and (
            before.value == reading.value or before.delivery.received == reading.delivery.received
        ):
            continue
        last[reading.key] = (number + 1, reading)
        if number + 1 == len(rounds):
            rounds.append(Round(corrects=True))
        rounds[number + 1].readings[reading.key] = reading
    # Last: what may be older than it looks fills only what the others leave empty.
    return [*rounds, new_only] if new_only.readings else rounds


async def merge(connection: AsyncConnection, rounds: Sequence[Round]) -> Merged:
    """Write `rounds` in the transaction of `connection`, which must have begun with a statement already."""
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"COPY needs asyncpg, not {type(driver)}")
    stored = corrected = 0
    await connection.exec_driver_sql(INCOMING)
    for number, one in enumerate(rounds):
        if number:
            await connection.exec_driver_sql("TRUNCATE incoming_reading")
        await driver.copy_to_table(
            "incoming_reading",
            source=_once(encode(one.readings.values())),
            columns=COLUMNS,
            schema_name="pg_temp",
            format="binary",
        )
        statement = MERGE_AND_CORRECT if one.corrects else MERGE_NEW_ONLY
        row = (await connection.exec_driver_sql(statement)).one()
        stored += row.stored
        corrected += row.corrected
    return Merged(stored, corrected)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
