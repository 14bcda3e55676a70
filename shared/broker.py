"""A connection to the broker that consumes with a bound, publishes with confirms, and outlives the broker's absence."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.exceptions import AMQPException
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from shared import topology
from shared.logs import get_logger

PUBLISH_TIMEOUT_S = 10.0
RETRY_S = 2.0

REASON_HEADER = "x-mbus-reason"
"""Why a message is a dead letter."""

UNREACHABLE = (OSError, AMQPException, TimeoutError)
"""What a broker that is away, restarting or refusing raises."""

log = get_logger(__name__)


class BrokerNotReadyError(Exception):
    """The connection to the broker is not up."""


def create_broker(url: str, *, app_id: str, prefetch: int, graceful_timeout_s: float) -> RabbitBroker:
    """A FastStream broker that holds at most `prefetch` messages at once.

    Bodies reach handlers raw, inside the whole message: FastStream's own decoding leaves odd bodies unacked.
    """
    return RabbitBroker(
        url,
        app_id=app_id,
        default_channel=Channel(prefetch_count=prefetch, on_return_raises=True),
        decoder=_keep_whole,
        apply_types=False,
        graceful_timeout=graceful_timeout_s,
        reconnect_interval=RETRY_S,
        logger=None,
    )


async def _keep_whole(message: RabbitMessage) -> RabbitMessage:
    return message


def working_queue(queue: topology.Queue) -> RabbitQueue:
    """The queue for a subscriber, which takes it as `topology.declare` made it."""
    return RabbitQueue(queue.name, declare=False)


async def publish(
    broker: RabbitBroker,
    body: bytes,
    *,
    exchange: str,
    routing_key: str,
    content_type: str,
    message_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    must_be_routed: bool = True,
) -> None:
    """Publish persistently and return when the broker has confirmed it.

    Raises one of `UNREACHABLE` when it has not within `PUBLISH_TIMEOUT_S`, and aio-pika's `DeliveryError`, one of
    them too, when `must_be_routed` and no queue took it. It may have arrived all the same: consumers tell by its id.
    """
    async with asyncio.timeout(PUBLISH_TIMEOUT_S):
        await broker.publish(
            body,
            exchange=RabbitExchange(exchange, type=ExchangeType(topology.EXCHANGES[exchange].value), declare=False),
            routing_key=routing_key,
            mandatory=must_be_routed,
            persist=True,
            content_type=content_type,
            message_id=message_id,
            headers=dict(headers or {}),
        )


async def dead_letter(broker: RabbitBroker, message: RabbitMessage, reason: str) -> None:
    """Put a message aside, whole, with the reason. Acknowledge it only after this returns: then the broker has it."""
    key = message.raw_message.routing_key or ""
    log.warning("dead_letter", routing_key=key, reason=reason)
    await publish(
        broker,
        message.body,
        exchange=topology.DEAD_LETTERS,
        routing_key=key,
        content_type=message.content_type or "application/octet-stream",
        headers={REASON_HEADER: reason},
    )


async def declare_topology(url: str, queues: Sequence[topology.Queue], exchanges: Sequence[str]) -> None:
    """Declare on a connection of its own, which is closed again."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection, connection.channel() as channel:
        await topology.declare(channel, queues, exchanges)


@asynccontextmanager
async def running(
    broker: RabbitBroker, url: str, *, queues: Sequence[topology.Queue], exchanges: Sequence[str] = ()
) -> AsyncIterator[None]:
    """Declare what is used and consume, as soon as the broker is there; at the end let running handlers finish."""

    async def start() -> None:
        while True:
            try:
                await declare_topology(url, queues, exchanges)
                await broker.start()
            except UNREACHABLE as error:
                log.warning("broker_unreachable", error=repr(error), retry_in_s=RETRY_S)
                await broker.stop()
                await asyncio.sleep(RETRY_S)
            else:
                log.info("consuming", queues=[queue.name for queue in queues])
                return

    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(start(), name="broker-start")
        try:
            yield
        finally:
            starting.cancel()
            await asyncio.wait({starting})
            await broker.stop()


async def check(broker: RabbitBroker) -> None:
    """Raise `BrokerNotReadyError` unless the broker is connected."""
    if not await broker.ping(timeout=1.0):
        raise BrokerNotReadyError("not connected")
