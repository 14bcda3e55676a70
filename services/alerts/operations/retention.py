"""Removes the events that were delivered or dropped long ago; the alerts that they told of stay."""

from datetime import timedelta

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Interval

AT_MOST = 1000
"""Events removed in one transaction: some ten milliseconds, in which nobody else waits for any of their locks."""

# An array, so that they are chosen once; and not those that another replica is removing.
REMOVE = """
    DELETE FROM delivery WHERE id = ANY (ARRAY(
        SELECT id FROM delivery WHERE {ended} < statement_timestamp() - :kept
        ORDER BY {ended} LIMIT :at_most FOR UPDATE SKIP LOCKED))
    """
ENDS = tuple(
    text(REMOVE.format(ended=ended)).bindparams(bindparam("kept", type_=Interval()))
    for ended in ("delivered_at", "dropped_at")
)


async def remove_delivered(engine: AsyncEngine, *, kept: timedelta) -> int:
    """Remove what ended longer ago than `kept`, by the database's clock; what is still to be delivered stays.

    Returns how many that were. Replicas share the work.
    """
    return sum([await _remove(engine, end, kept) for end in ENDS])


async def _remove(engine: AsyncEngine, end: TextClause, kept: timedelta) -> int:
    removed = 0
    while True:
        async with engine.begin() as connection:
            count = (await connection.execute(end, {"kept": kept, "at_most": AT_MOST})).rowcount
        removed += count
        if count < AT_MOST:
            return removed
