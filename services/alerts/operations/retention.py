"""Removes the events that were delivered long ago; the alerts that they told of stay."""

from datetime import timedelta

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Interval

AT_MOST = 1000
"""Events removed in one transaction: some ten milliseconds, in which nobody else waits for any of their locks."""

# An array, so that they are chosen once; and not those that another replica is removing.
REMOVE = text(
    """
    DELETE FROM delivery WHERE id = ANY (ARRAY(
        SELECT id FROM delivery WHERE delivered_at < statement_timestamp() - :kept
        ORDER BY delivered_at LIMIT :at_most FOR UPDATE SKIP LOCKED))
    """
).bindparams(bindparam("kept", type_=Interval()))


async def remove_delivered(engine: AsyncEngine, *, kept: timedelta) -> int:
    """Remove what was delivered longer ago than `kept`, by the database's clock; what was not delivered stays.

    Returns how many that were. Replicas share the work.
    """
    removed = 0
    while True:
        async with engine.begin() as connection:
            count = (await connection.execute(REMOVE, {"kept": kept, "at_most": AT_MOST})).rowcount
        removed += count
        if count < AT_MOST:
            return removed
