"""Publishes the alert events that wait in `delivery`: each until the broker has confirmed it, under the same id."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from aio_pika.exceptions import DeliveryError
from faststream.rabbit import RabbitBroker
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker import publish
from shared.clock import Clock
from shared.logs import get_logger
from shared.messages.cloudevents import CONTENT_TYPE
from shared.models import Delivery

AT_MOST = 100
"""Deliveries published in one transaction; a crash in it publishes them again."""

FIRST_RETRY = timedelta(seconds=2)
DOUBLINGS = 8
"""After so many refusals the time to the next attempt stays as it is: some eight minutes."""

log = get_logger(__name__)


async def deliver_pending(engine: AsyncEngine, broker: RabbitBroker, clock: Clock) -> int:
    """Publish what is to be tried by now, and return how many the broker took.

    A delivery that it refuses, because a subscriber's full queue does, is tried again later and holds up no other. A
    broker that is away ends this with what `shared.broker.publish` raises; what it took before is kept. Replicas share
    the work: what one has in hand, the others leave out.
    """
    delivered = 0
    while True:
        now = clock()
        async with engine.begin() as connection:
            found = await connection.execute(
                select(Delivery.id, Delivery.tenant_id, Delivery.event_type, Delivery.event, Delivery.attempts)
                .where(Delivery.delivered_at.is_(None), Delivery.next_attempt_at <= now)
                .order_by(Delivery.next_attempt_at)
                .limit(AT_MOST)
                .with_for_update(skip_locked=True)
            )
            pending = found.all()
            taken, refused, failure = await _publish_all(broker, pending)
            if taken:
                await connection.execute(update(Delivery).where(Delivery.id.in_(taken)).values(delivered_at=clock()))
            for delivery_id, attempts in refused:
                later = now + FIRST_RETRY * 2 ** min(attempts, DOUBLINGS)
                await connection.execute(
                    update(Delivery)
                    .where(Delivery.id == delivery_id)
                    .values(attempts=attempts + 1, next_attempt_at=later)
                )
        delivered += len(taken)
        if failure is not None:
            raise failure
        if len(pending) < AT_MOST:
            return delivered


async def _publish_all(
    broker: RabbitBroker, pending: Sequence[Row[Any]]
) -> tuple[list[UUID], list[tuple[UUID, int]], Exception | None]:
    """The ids that the broker took, those that it refused with their earlier refusals, and what ended it before all."""
    taken: list[UUID] = []
    refused: list[tuple[UUID, int]] = []
    for delivery in pending:
        try:
            await publish(
                broker,
                msgspec.json.encode(delivery.event),
                exchange=topology.ALERTS,
                routing_key=topology.alert_key(delivery.tenant_id, delivery.event_type),
                content_type=CONTENT_TYPE,
                message_id=str(delivery.id),
                must_be_routed=False,  # a tenant without a subscriber is none of ours
            )
        except DeliveryError:
            log.warning("delivery_refused", delivery_id=str(delivery.id), event_type=delivery.event_type)
            refused.append((delivery.id, delivery.attempts))
        except Exception as error:  # noqa: BLE001 - raised by the caller, when what was taken is written down
            return taken, refused, error
        else:
            taken.append(delivery.id)
    return taken, refused, None
