"""Takes gateway messages from the queue, hands them to the group commit, and acknowledges them last."""

import re
from datetime import UTC, datetime

from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitMessage

from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.suspects import Suspects
from shared import topology
from shared.broker import dead_letter, working_queue
from shared.clock import Clock
from shared.database_errors import log_refusal, name_of
from shared.group_commit import GroupCommit
from shared.logs import get_logger
from shared.tracing import context_of, within

ROUTING_KEY = re.compile(rf"gateways\.({topology.GATEWAY_ID.pattern})\.({'|'.join(topology.GatewayFormat)})")

ACCEPTED_AT_HEADER = "timestamp_in_ms"
"""RabbitMQ's message interceptor sets it (deploy/rabbitmq); it stays the same when a message is delivered again."""

log = get_logger(__name__)

Commits = GroupCommit[GatewayDelivery, DeadLetter | None]


def register_consumer(broker: RabbitBroker, commits: Commits, clock: Clock, *, trust_stamps: bool) -> None:
    """Let `broker` feed gateway messages to `commits`; `trust_stamps` says whether the broker stamps them."""
    suspects = Suspects()

    @broker.subscriber(
        working_queue(topology.INGEST_QUEUE),
        # An error that escapes here is one of the way to the broker; the message comes again.
        ack_policy=AckPolicy.NACK_ON_ERROR,
        no_reply=True,
        title="gateway messages",
    )
    async def on_gateway_message(message: RabbitMessage) -> None:
        letter = await _store(message)
        if letter is not None:
            with within(context_of(message.headers)):
                await dead_letter(broker, message, letter.reason)

    async def _store(message: RabbitMessage) -> DeadLetter | None:
        sender = ROUTING_KEY.fullmatch(message.raw_message.routing_key or "")
        if sender is None:
            return DeadLetter("the routing key names no gateway")
        accepted_at = _accepted_at(message) if trust_stamps else None
        content = topology.GatewayFormat(sender[2])
        delivery = _delivery(message, sender[1], content, accepted_at=accepted_at, now=clock())
        try:
            async with suspects.turn(_times_returned(message)) as alone:
                return await commits.submit(delivery, alone=alone)
        except Exception as error:  # noqa: BLE001 - the group commit raises what this message alone is to blame for
            with within(delivery.trace):
                log_refusal(log, "message_cannot_be_stored", error, gateway_id=sender[1])
            return DeadLetter(f"cannot be stored: {name_of(error)}")


def _delivery(
    message: RabbitMessage,
    gateway_id: str,
    content: topology.GatewayFormat,
    *,
    accepted_at: datetime | None,
    now: datetime,
) -> GatewayDelivery:
    return GatewayDelivery(
        gateway_id=gateway_id,
        format=content,
        body=message.body,
        # A stamp from the future would win over every later correction.
        received_at=min(accepted_at or now, now),
        may_correct=accepted_at is not None or not message.raw_message.redelivered,
        trace=context_of(message.headers),
    )


def _accepted_at(message: RabbitMessage) -> datetime | None:
    """When the broker took the message first, where it says so."""
    stamp = message.headers.get(ACCEPTED_AT_HEADER)
    try:
        return datetime.fromtimestamp(stamp / 1000, UTC) if isinstance(stamp, int) else None
    except (OverflowError, ValueError, OSError):  # a number that is no time, so no broker's
        return None


def _times_returned(message: RabbitMessage) -> int:
    count = message.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0
