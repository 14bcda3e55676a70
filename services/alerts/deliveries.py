"""Publishes the alert events that wait in `delivery`: each until the broker has confirmed it, under the same id."""

import msgspec
from faststream.rabbit import RabbitBroker
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker import publish
from shared.clock import Clock
from shared.messages.cloudevents import CONTENT_TYPE
from shared.models import Delivery

AT_MOST = 100
"""Deliveries published in one transaction; a crash in it publishes them again."""


async def deliver_pending(engine: AsyncEngine, broker: RabbitBroker, clock: Clock) -> int:
    """Publish what waits, oldest first, and return how many. Raises what `shared.broker.publish` raises.

    Replicas share the work: what one has in hand, the others leave out.
    """
    delivered = 0
    while True:
        async with engine.begin() as connection:
            found = await connection.execute(
                select(Delivery.id, Delivery.tenant_id, Delivery.event_type, Delivery.event)
                .where(Delivery.delivered_at.is_(None))
                .order_by(Delivery.created_at)
                .limit(AT_MOST)
                .with_for_update(skip_locked=True)
            )
            pending = found.all()
            for delivery in pending:
                await publish(
                    broker,
                    msgspec.json.encode(delivery.event),
                    exchange=topology.ALERTS,
                    routing_key=topology.alert_key(delivery.tenant_id, delivery.event_type),
                    content_type=CONTENT_TYPE,
                    message_id=str(delivery.id),
                    must_be_routed=False,  # a tenant without a subscriber is none of ours
                )
            if pending:
                await connection.execute(
                    update(Delivery)
                    .where(Delivery.id.in_([delivery.id for delivery in pending]))
                    .values(delivered_at=clock())
                )
        delivered += len(pending)
        if len(pending) < AT_MOST:
            return delivered
