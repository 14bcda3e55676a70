"""Sends a delivery again, under the id that it had: whole digests, and now, whatever it waited for.

The first of a digest is locked before the others. So two that ask for the same do not stand in each other's way; nor
does who sends, who has to do only with what is pending.
"""

from datetime import datetime
from uuid import UUID

from services.alerts.queries.deliveries import STATES, WITHIN_REACH, find_delivery, reach_arguments
from services.alerts.queries.delivery_fields import Delivery, DeliveryState
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase

PENDING = STATES[DeliveryState.PENDING]

TRIED_ANEW = """
    delivered_at = NULL, dropped_at = NULL, dropped_because = NULL, attempts = 0,
    wanted_since = statement_timestamp(), next_attempt_at = statement_timestamp(), held_by = NULL"""
"""What ended, as it was when it was made. By the database's clock, as when it was made."""

TRIED_NOW = """
    next_attempt_at = least(d.next_attempt_at, statement_timestamp()), digest_id = coalesce(d.digest_id, d.id),
    held_by = NULL"""
"""What is pending. That it has the id of a digest, even of one of itself alone, is why it waits for nothing else."""

ASKED_FOR = """
SELECT coalesce(d.digest_id, d.id) AS head, s.enabled, s.disabled_because, s.deleted_at
FROM delivery d JOIN subscription s ON s.id = d.subscription_id
WHERE {within_reach} AND d.id = $3"""

LOCK = f"SELECT {PENDING} AS is_pending FROM delivery d WHERE {{within_reach}} AND d.id = $3 FOR UPDATE OF d"  # noqa: S608

AGAIN = f"""
UPDATE delivery d SET {TRIED_ANEW}, digest_id = $3
WHERE {{within_reach}} AND (d.id = $3 OR d.digest_id = $3) AND NOT ({PENDING})"""  # noqa: S608 - the code's own text

# What became part of a digest meanwhile is on its way with that.
NOW = f"""
UPDATE delivery d SET {TRIED_NOW}
WHERE {{within_reach}} AND d.id = $3 AND {PENDING} AND (d.digest_id IS NULL OR d.digest_id = d.id)"""  # noqa: S608

# Nobody need wait for an endpoint that somebody has just said to be back.
LET_TRY = """
UPDATE subscription s SET held_until = NULL
WHERE s.tenant_id = $1 AND s.id = $2 AND s.held_until > statement_timestamp()"""


class SilentSubscriptionError(Exception):
    """Nothing is sent to the subscription; the text says why, for who asked."""

    def __init__(self, disabled_because: str | None, deleted_at: datetime | None) -> None:
        is_disabled = f"The subscription is disabled (`{disabled_because}`): enable it first."
        super().__init__(is_disabled if deleted_at is None else "The subscription was removed.")


class BeingRemovedError(Exception):
    """The first of its digest, whose id that has, is too old to be kept, and so will it be in a moment."""


async def redeliver(database: TenantDatabase, *, reach: Reach, delivery_id: UUID) -> Delivery | None:
    """The delivery, which is tried now, with all of the digest in which it went out. None where there is none.

    Raises `SilentSubscriptionError` and `BeingRemovedError`.
    """
    async with database.writing_within(reach) as connection:
        asked = await connection.fetchrow(
            ASKED_FOR.format(within_reach=WITHIN_REACH), *reach_arguments(reach), delivery_id
        )
        if asked is None:
            return None
        if not asked["enabled"] or asked["deleted_at"] is not None:
            raise SilentSubscriptionError(asked["disabled_because"], asked["deleted_at"])
        await _try_again(connection, reach, asked["head"])
        delivery = await find_delivery(connection, reach=reach, delivery_id=delivery_id)
    # In a transaction of its own: who sends locks deliveries and subscription too, and in no order.
    if delivery is not None:
        async with database.writing_within(reach) as connection:
            await connection.execute(LET_TRY, reach.tenant_id, delivery.subscription_id)
    return delivery


async def _try_again(connection: Connection, reach: Reach, head: UUID) -> None:
    within = {"within_reach": WITHIN_REACH}
    locked = await connection.fetchrow(LOCK.format(**within), *reach_arguments(reach), head)
    if locked is None:
        raise BeingRemovedError
    statement = NOW if locked["is_pending"] else AGAIN
    await connection.execute(statement.format(**within), *reach_arguments(reach), head)
