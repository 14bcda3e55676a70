"""Takes gateway messages from the queue, hands them to the group commit, and acknowledges them last."""

import re

from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitMessage

from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.intake import Intake
from services.ingest.metrics import IngestMetrics
from services.ingest.suspects import Suspects
from shared import topology
from shared.broker import dead_letter, working_queue
from shared.clock import Clock
from shared.database_errors import log_refusal, name_of
from shared.group_commit import GroupCommit
from shared.logs import get_logger
from shared.tracing import context_of, within
from shared.transmission import Transmission

ROUTING_KEY = re.compile(rf"gateways\.({topology.GATEWAY_ID.pattern})\.({'|'.join(topology.GatewayFormat)})")

log = get_logger(__name__)

Commits = GroupCommit[GatewayDelivery, DeadLetter | None]


def register_consumer(
    broker: RabbitBroker, commits: Commits, intake: Intake, metrics: IngestMetrics, clock: Clock, *, trust_stamps: bool
) -> None:
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
        if not intake.takes(message, bytes_in_hand=commits.weight_in_hand):
            await message.nack()
            return
        transmission = Transmission.of_delivery(
            message.headers, redelivered=bool(message.raw_message.redelivered), now=clock(), trust_stamps=trust_stamps
        )
        letter = await _store(message, transmission)
        if letter is not None:
            with within(context_of(message.headers)):
                await dead_letter(broker, message, letter.reason, transmission)
            metrics.dead_lettered()

    async def _store(message: RabbitMessage, transmission: Transmission) -> DeadLetter | None:
        sender = ROUTING_KEY.fullmatch(message.raw_message.routing_key or "")
        if sender is None:
            return DeadLetter("the routing key names no gateway")
        delivery = GatewayDelivery(
            gateway_id=sender[1],
            format=topology.GatewayFormat(sender[2]),
            body=message.body,
            received_at=transmission.received_at,
            may_correct=transmission.may_correct,
            is_replay=transmission.is_replay,
            trace=context_of(message.headers),
        )
        try:
            async with suspects.turn(_times_returned(message)) as alone:
                return await commits.submit(delivery, alone=alone)
        except Exception as error:  # noqa: BLE001 - the group commit raises what this message alone is to blame for
            with within(delivery.trace):
                log_refusal(log, "message_cannot_be_stored", error, gateway_id=sender[1])
            return DeadLetter(f"cannot be stored: {name_of(error)}")


def _times_returned(message: RabbitMessage) -> int:
    count = message.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0
