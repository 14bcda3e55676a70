"""Makes deliveries of the broker's messages, hands them to the group commit, and puts aside what is no message."""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from faststream.rabbit import RabbitBroker

from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.metrics import IngestMetrics
from services.ingest.suspects import SUSPICIOUS_DELIVERIES, Suspects
from shared import topology
from shared.broker import dead_letter
from shared.clock import Clock
from shared.database_errors import log_refusal, name_of
from shared.group_commit import GroupCommit
from shared.logs import get_logger
from shared.tracing import context_of, within
from shared.transmission import Transmission

ROUTING_KEY = re.compile(rf"gateways\.({topology.GATEWAY_ID.pattern})\.({'|'.join(topology.GatewayFormat)})")
FORMATS = {content.value: content for content in topology.GatewayFormat}

log = get_logger(__name__)

Commits = GroupCommit[GatewayDelivery, DeadLetter | None]
Stored = asyncio.Future[DeadLetter | None]


class GatewayMessages:
    """The gateways' messages on their way to `commits`; `trust_stamps` says whether the broker stamps them."""

    def __init__(
        self, broker: RabbitBroker, commits: Commits, metrics: IngestMetrics, clock: Clock, *, trust_stamps: bool
    ) -> None:
        self._broker = broker
        self._commits = commits
        self._metrics = metrics
        self._clock = clock
        self._trust_stamps = trust_stamps
        self._suspects = Suspects()

    def begin(self, message: DeliveredMessage) -> "GatewayMessage":
        """Have a message stored."""
        transmission = Transmission.of_delivery(
            _headers(message),
            redelivered=bool(message.redelivered),
            now=self._clock(),
            trust_stamps=self._trust_stamps,
        )
        return GatewayMessage(self, message, transmission, self._store(message, transmission))

    async def put_aside(self, message: DeliveredMessage, letter: DeadLetter, transmission: Transmission) -> None:
        """Make a dead letter of a message."""
        with within(context_of(_headers(message))):
            await dead_letter(self._broker, IncomingMessage(message), letter.reason, transmission)
        self._metrics.dead_lettered()

    def _store(self, message: DeliveredMessage, transmission: Transmission) -> Stored:
        sender = ROUTING_KEY.fullmatch(message.routing_key or "")
        if sender is None:
            nothing: Stored = asyncio.get_running_loop().create_future()
            nothing.set_result(DeadLetter("the routing key names no gateway"))
            return nothing
        headers = _headers(message)
        delivery = GatewayDelivery(
            gateway_id=sender[1],
            format=FORMATS[sender[2]],
            body=message.body,
            received_at=transmission.received_at,
            may_correct=transmission.may_correct,
            is_replay=transmission.is_replay,
            trace=context_of(headers),
        )
        times_returned = _times_returned(message)
        if times_returned < SUSPICIOUS_DELIVERIES:
            return self._commits.enqueue(delivery)
        return asyncio.create_task(self._store_suspect(delivery, times_returned))

    async def _store_suspect(self, delivery: GatewayDelivery, times_returned: int) -> DeadLetter | None:
        async with self._suspects.turn():
            # The last such line before a death is the one to look at.
            log.warning("suspect_is_written_alone", gateway_id=delivery.gateway_id, times_returned=times_returned)
            return await self._commits.submit(delivery, alone=True)


@dataclass(frozen=True, slots=True)
class GatewayMessage:
    """One of them, with the promise that it is stored."""

    source: GatewayMessages
    message: DeliveredMessage
    transmission: Transmission
    promise: Stored

    def last_step(self) -> Coroutine[Any, Any, None] | None:
        """Put aside what is no message, or what the database refuses to take."""
        error = self.promise.exception()
        if isinstance(error, Exception):
            with within(context_of(_headers(self.message))):
                log_refusal(log, "message_cannot_be_stored", error, routing_key=self.message.routing_key or "")
            letter: DeadLetter | None = DeadLetter(f"cannot be stored: {name_of(error)}")
        else:
            letter = self.promise.result()
        return None if letter is None else self.source.put_aside(self.message, letter, self.transmission)


def _headers(message: DeliveredMessage) -> Mapping[str, Any]:
    return message.header.properties.headers or {}


def _times_returned(message: DeliveredMessage) -> int:
    """How often it came back; a sender may write the header too, but not that the broker delivers it again."""
    count = _headers(message).get("x-delivery-count", 0)
    return count if message.redelivered and isinstance(count, int) else 0
