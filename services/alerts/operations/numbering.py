"""Gives numbers to a tenant's events, by which its live stream goes on where it broke off.

`position` cannot be that: of two transactions the one that began first may commit last, and who has read past its
place by then never sees it. So numbers are given to what is committed already, by one replica at a time, under a lock
that ends when they are visible to all: whoever has seen a number never sees a smaller one appear
(docs/architecture/alert-stream.md).

A number is about the time in microseconds, and more than all before it of the same tenant. So it stays a place in the
order also where the database was restored from a backup: what gets a number then comes after what any client has seen.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.models.alerting import UNNUMBERED

AT_MOST = 1000
"""Events in one transaction: some 50 ms."""

# Nobody waits for anybody: whoever has the lock numbers what the others made too, or they do a moment later. Who has it
# has nothing left to do but the next statement, and must not keep it when it is frozen. The planner expects next to
# nothing without a number, and would fetch and sort all of it for each batch where it is much.
LOCK = text(
    f"""
    SELECT CASE WHEN EXISTS (SELECT FROM delivery WHERE {UNNUMBERED})
        THEN set_config('idle_in_transaction_session_timeout', '5s', true) <> ''
             AND set_config('enable_bitmapscan', 'off', true) <> '' AND set_config('enable_seqscan', 'off', true) <> ''
             AND pg_try_advisory_xact_lock(cast(cast('public.alert_stream' AS regclass) AS bigint))
        ELSE false END
    """  # noqa: S608 - of a constant
)

# A statement of its own, so that it sees all that was committed before it had the lock. Rows that somebody has locked,
# who is publishing them, are left for the next time, with all that the tenant has behind them. The limit is not an
# argument: of one that it does not know the planner expects a tenth of the table, and reads all of it.
NUMBER = text(
    f"""
    WITH free AS MATERIALIZED (
        SELECT id, tenant_id, position FROM delivery WHERE {UNNUMBERED}
        ORDER BY position LIMIT {AT_MOST} FOR NO KEY UPDATE SKIP LOCKED
    ), held AS MATERIALIZED (
        SELECT tenant_id, min(position) AS position FROM delivery d
        WHERE {UNNUMBERED} AND position <= (SELECT max(position) FROM free)
          AND NOT EXISTS (SELECT FROM free WHERE free.id = d.id)
        GROUP BY tenant_id
    ), given AS MATERIALIZED (
        SELECT free.id, free.tenant_id,
               greatest(coalesce(s.newest, 0), cast(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint))
                   + row_number() OVER (PARTITION BY free.tenant_id ORDER BY free.position) AS number
        FROM free
        LEFT JOIN held ON held.tenant_id = free.tenant_id
        LEFT JOIN alert_stream s ON s.tenant_id = free.tenant_id
        WHERE held.position IS NULL OR free.position < held.position
    ), noted AS (
        INSERT INTO alert_stream (tenant_id, newest)
        SELECT tenant_id, max(number) FROM given GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id) DO UPDATE SET newest = excluded.newest
    )
    UPDATE delivery SET number = given.number FROM given WHERE given.id = delivery.id
    """  # noqa: S608 - of a constant
)


async def number_events(engine: AsyncEngine) -> int:
    """Number what is committed and has no number yet; returns how many got one from this replica."""
    numbered = 0
    while True:
        async with engine.begin() as connection:
            if not await connection.scalar(LOCK):
                return numbered
            count = (await connection.execute(NUMBER)).rowcount
        numbered += count
        if count < AT_MOST:
            return numbered
