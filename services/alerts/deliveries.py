"""Publishes the alert events that wait for the exchange: each until the broker has confirmed it, under the same id.

Claim, publish, write down: no transaction is open while the broker is waited for. A claim puts the next attempt off by
`CLAIM`, so that other replicas leave it out, and so that it is published again where this process dies. What time it is
the database says: replicas whose clocks differ agree on what is to be tried. By `statement_timestamp()`, since an index
does not help to find what is due by `clock_timestamp()`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from aio_pika.exceptions import DeliveryError
from faststream.rabbit import RabbitBroker
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Interval, Uuid

from shared import topology
from shared.broker import publish
from shared.logs import get_logger
from shared.messages.cloudevents import CONTENT_TYPE

AT_MOST = 500
"""Deliveries claimed at a time, and published at once."""

CLAIM = timedelta(seconds=15)
"""Longer than `publish` waits for a confirm, and it waits for those of a claim together."""

FIRST_RETRY = timedelta(seconds=2)
DOUBLINGS = 8
"""After so many refusals the time to the next attempt stays as it is: some eight minutes."""

# Of an alert only the first that has not gone out, so that a recovery never overtakes its silence; events of the
# pipeline, which are of no alert, wait for each other in the same way. Asked of one row after the other until there are
# enough, by the index on alerts: as NOT EXISTS, or with IS NULL in the WHERE, it is planned as all that waits by all
# that waits, which at 50,000 took longer than a statement may.
CLAIMED = text(
    """
    WITH due AS MATERIALIZED (
        SELECT id FROM delivery AS one
        WHERE subscription_id IS NULL AND delivered_at IS NULL AND next_attempt_at <= statement_timestamp()
          AND position = CASE WHEN alert_id IS NULL
              THEN (SELECT min(position) FROM delivery
                    WHERE alert_id IS NULL AND subscription_id IS NULL AND delivered_at IS NULL)
              ELSE (SELECT min(its.position) FILTER (WHERE its.delivered_at IS NULL AND its.subscription_id IS NULL)
                    FROM delivery AS its WHERE its.alert_id = one.alert_id)
              END
        ORDER BY next_attempt_at
        LIMIT :at_most
        FOR UPDATE SKIP LOCKED
    )
    UPDATE delivery SET next_attempt_at = statement_timestamp() + :claim FROM due WHERE delivery.id = due.id
    RETURNING delivery.id, position, tenant_id, event_type, event::text AS event, attempts
    """
).bindparams(bindparam("claim", type_=Interval()))
DELIVERED = text("UPDATE delivery SET delivered_at = statement_timestamp() WHERE id = ANY (:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid()))
)
REFUSED = text(
    "UPDATE delivery SET attempts = attempts + 1, next_attempt_at = statement_timestamp() + :patience WHERE id = :id"
).bindparams(bindparam("patience", type_=Interval()))
GIVEN_BACK = text(
    "UPDATE delivery SET next_attempt_at = statement_timestamp() WHERE id = ANY (:ids) AND delivered_at IS NULL"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))

log = get_logger(__name__)


@dataclass(frozen=True)
class _Claimed:
    """A delivery that this process is to publish; its event as it is stored."""

    id: UUID
    position: int
    tenant_id: UUID | None
    event_type: str
    event: str
    attempts: int


@dataclass
class _Outcome:
    """What has become of a claim so far; what is in neither list is not known to have arrived."""

    delivered: list[UUID] = field(default_factory=list)
    refused: list[_Claimed] = field(default_factory=list)
    failure: Exception | None = None


async def deliver_pending(engine: AsyncEngine, broker: RabbitBroker) -> int:
    """Publish what is to be tried by now, and return how many the broker took.

    A delivery that it refuses, because a subscriber's full queue does, is tried again later and holds up no other but
    those of the same alert. A broker that is away ends this with what `shared.broker.publish` raises; what it took
    before is kept. Replicas share the work.
    """
    delivered = 0
    while True:
        claimed = await _claim(engine)
        if not claimed:
            return delivered
        outcome = _Outcome()
        try:
            await _publish_all(broker, claimed, outcome)
        finally:
            # Also when this is cancelled: what was confirmed is not sent again, and the rest need not wait.
            await _write_down(engine, claimed, outcome)
        delivered += len(outcome.delivered)
        if outcome.failure is not None:
            raise outcome.failure


async def _claim(engine: AsyncEngine) -> list[_Claimed]:
    async with engine.begin() as connection:
        found = await connection.execute(CLAIMED, {"claim": CLAIM, "at_most": AT_MOST})
        return sorted((_Claimed(**row) for row in found.mappings()), key=lambda one: one.position)


async def _publish_all(broker: RabbitBroker, claimed: Sequence[_Claimed], outcome: _Outcome) -> None:
    """Publish all at once: the broker confirms them together, so that they take as long as the slowest."""

    async def send(delivery: _Claimed) -> None:
        try:
            await publish(
                broker,
                delivery.event.encode(),
                exchange=topology.ALERTS,
                routing_key=topology.alert_key(delivery.tenant_id, delivery.event_type),
                content_type=CONTENT_TYPE,
                message_id=str(delivery.id),
                must_be_routed=False,  # a tenant without a subscriber is none of ours
            )
        except DeliveryError:
            outcome.refused.append(delivery)
        except Exception as error:  # noqa: BLE001 - raised by the caller, when what was taken is written down
            outcome.failure = outcome.failure or error
        else:
            outcome.delivered.append(delivery.id)

    async with asyncio.TaskGroup() as tasks:
        for delivery in claimed:
            tasks.create_task(send(delivery))


async def _write_down(engine: AsyncEngine, claimed: Sequence[_Claimed], outcome: _Outcome) -> None:
    known = {*outcome.delivered, *(delivery.id for delivery in outcome.refused)}
    unknown = [delivery.id for delivery in claimed if delivery.id not in known]
    async with engine.begin() as connection:
        if outcome.delivered:
            await connection.execute(DELIVERED, {"ids": outcome.delivered})
        if outcome.refused:
            log.warning("deliveries_refused", count=len(outcome.refused))
            await connection.execute(
                REFUSED, [{"id": one.id, "patience": _patience(one.attempts)} for one in outcome.refused]
            )
        if unknown:
            await connection.execute(GIVEN_BACK, {"ids": unknown})


def _patience(refusals: int) -> timedelta:
    """How long to wait after one more refusal than these."""
    return FIRST_RETRY * (1 << min(refusals, DOUBLINGS))
