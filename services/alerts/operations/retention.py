"""Removes the events that were delivered or dropped long ago; the alerts that they told of stay."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import BigInteger, Interval, Uuid

AT_MOST = 1000
"""Events removed in one transaction: some ten milliseconds, in which nobody else waits for any of their locks."""

# An array, so that they are chosen once; and not those that another replica is removing.
REMOVE = """
    DELETE FROM delivery WHERE id = ANY (ARRAY(
        SELECT id FROM delivery WHERE {ended} < statement_timestamp() - :kept
        ORDER BY {ended} LIMIT :at_most FOR UPDATE SKIP LOCKED))
    RETURNING tenant_id, number
    """
ENDS = tuple(
    text(REMOVE.format(ended=ended)).bindparams(bindparam("kept", type_=Interval()))
    for ended in ("delivered_at", "dropped_at")
)

# So that a live stream does not go on behind a place from which something is missing. Locked in one order by all.
NOTE_REMOVED = text(
    """
    WITH gone AS (
        SELECT tenant_id, max(number) AS number FROM unnest(:tenant_ids, :numbers) AS gone (tenant_id, number)
        GROUP BY tenant_id
    ), locked AS MATERIALIZED (
        SELECT tenant_id FROM alert_stream WHERE tenant_id IN (SELECT tenant_id FROM gone)
        ORDER BY tenant_id FOR NO KEY UPDATE
    )
    UPDATE alert_stream s SET removed = greatest(s.removed, gone.number)
    FROM gone JOIN locked ON locked.tenant_id = gone.tenant_id WHERE s.tenant_id = gone.tenant_id
    """
).bindparams(bindparam("tenant_ids", type_=ARRAY(Uuid())), bindparam("numbers", type_=ARRAY(BigInteger())))


async def remove_delivered(engine: AsyncEngine, *, kept: timedelta) -> int:
    """Remove what ended longer ago than `kept`, by the database's clock; what is still to be delivered stays.

    Returns how many that were. Replicas share the work.
    """
    return sum([await _remove(engine, end, kept) for end in ENDS])


async def _remove(engine: AsyncEngine, end: TextClause, kept: timedelta) -> int:
    removed = 0
    while True:
        async with engine.begin() as connection:
            gone = (await connection.execute(end, {"kept": kept, "at_most": AT_MOST})).all()
            await _note_removed(connection, gone)
        removed += len(gone)
        if len(gone) < AT_MOST:
            return removed


async def _note_removed(connection: AsyncConnection, gone: Sequence[Row[Any]]) -> None:
    numbered = [row for row in gone if row.number is not None]
    if numbered:
        places = {"tenant_ids": [row.tenant_id for row in numbered], "numbers": [row.number for row in numbered]}
        await connection.execute(NOTE_REMOVED, places)
