"""A connection to the broker that consumes with a bound, publishes with confirms, and outlives the broker's absence."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPException
from faststream.exceptions import FastStreamException
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from shared import topology
from shared.amqp_tolerance import tolerate_odd_messages
from shared.broker_connection import CONNECT_TIMEOUT_S, Broker
from shared.dead_letters import headers_of
from shared.logs import get_logger
from shared.transmission import Transmission

if TYPE_CHECKING:
    from pamqp.common import FieldValue

PUBLISH_TIMEOUT_S = 10.0
START_TIMEOUT_S = 10.0
RETRY_S = 2.0

LOST_AFTER_S = 4.0
"""For so long aio-pika is left to restore consumption by itself, as it does when a connection comes back."""
LOOK_EVERY_S = 0.5
RESTART_GRACE_S = 2.0
"""How long a restart waits for the handlers; where the channel is gone, there are none."""
DECLARE_EVERY_S = 30.0
"""What an operator deletes by mistake, such as a binding, is missed for so long: consumption does not tell of it."""

log = get_logger(__name__)


class BrokerNotReadyError(Exception):
    """The connection to the broker is not up, or it does not bring what it should."""


UNREACHABLE = (OSError, AMQPException, TimeoutError, BrokerNotReadyError)
"""What a broker that is away, restarting or refusing raises; among them aio-pika's `DeliveryError`, which means one
message: the broker is there, and has not taken it."""


def create_broker(url: str, *, app_id: str, prefetch: int, graceful_timeout_s: float) -> Broker:
    """A broker that holds at most `prefetch` messages at once.

    Bodies reach handlers raw, inside the whole message: FastStream's own decoding leaves odd bodies unacked. From the
    first one on, this process reads messages with any properties (`shared.amqp_tolerance`).
    """
    tolerate_odd_messages()
    return Broker(url, app_id=app_id, prefetch=prefetch, graceful_timeout_s=graceful_timeout_s, retry_s=RETRY_S)


def working_queue(queue: topology.Queue) -> RabbitQueue:
    """The queue for a subscriber, which takes it as `topology.declare` made it."""
    return RabbitQueue(queue.name, declare=False)


@contextmanager
def broker_may_be_away() -> Iterator[None]:
    """Raise only `UNREACHABLE` for what a broker does: the libraries have more ways to say that it is away.

    A connection that closes rejects those who wait on it, with a `CancelledError` that nobody asked for or with a bare
    `Exception`. That would end a task which means to try again. And a task that is being cancelled may get another
    error in the place of the cancellation: it would go on for ever.
    """
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        if isinstance(error, UNREACHABLE):
            raise
        if isinstance(error, (*CONNECTION_EXCEPTIONS, FastStreamException)):
            raise BrokerNotReadyError(repr(error)) from error
        if isinstance(error, asyncio.CancelledError) or type(error) is Exception:
            raise BrokerNotReadyError("the connection was closed") from error
        raise


async def publish(
    broker: RabbitBroker,
    body: bytes,
    *,
    exchange: str,
    routing_key: str,
    content_type: str,
    message_id: str | None = None,
    timestamp: datetime | None = None,
    headers: Mapping[str, "FieldValue"] | None = None,
    must_be_routed: bool = True,
) -> None:
    """Publish persistently and return when the broker has confirmed it.

    Raises one of `UNREACHABLE` when it has not within `PUBLISH_TIMEOUT_S`, and aio-pika's `DeliveryError`, one of
    them too, when the broker refused it, or `must_be_routed` and no queue took it. It may have arrived all the same:
    consumers tell by its id.
    """
    with broker_may_be_away():
        async with asyncio.timeout(PUBLISH_TIMEOUT_S):
            await broker.publish(
                body,
                exchange=RabbitExchange(exchange, type=ExchangeType(topology.EXCHANGES[exchange].value), declare=False),
                routing_key=routing_key,
                mandatory=must_be_routed,
                persist=True,
                content_type=content_type,
                message_id=message_id,
                timestamp=timestamp,
                headers=dict(headers or {}),
            )


async def dead_letter(
    broker: RabbitBroker, message: AbstractIncomingMessage, reason: str, transmission: Transmission | None = None
) -> None:
    """Put a message aside, whole, with the reason. Acknowledge it only after this returns: then the broker has it.

    Of its properties it keeps id, time, content type and the simple headers. `transmission` is when it was received.
    """
    key = message.routing_key or ""
    log.warning("dead_letter", routing_key=key, reason=reason)
    await publish(
        broker,
        message.body,
        exchange=topology.DEAD_LETTERS,
        routing_key=key,
        content_type=message.content_type or "application/octet-stream",
        message_id=message.message_id,
        timestamp=message.timestamp,
        headers=headers_of(message.headers, reason=reason, exchange=message.exchange or "", transmission=transmission),
    )


async def declare_topology(url: str, queues: Sequence[topology.Queue], exchanges: Sequence[str]) -> None:
    """Declare on a connection of its own, which is closed again."""
    connection = await aio_pika.connect(url, timeout=CONNECT_TIMEOUT_S)
    async with connection, connection.channel() as channel:
        await topology.declare(channel, queues, exchanges)


@asynccontextmanager
async def running(
    broker: Broker,
    url: str,
    *,
    queues: Sequence[topology.Queue],
    exchanges: Sequence[str] = (),
    declare_every_s: float = DECLARE_EVERY_S,
) -> AsyncIterator[None]:
    """Declare what is used and consume, whenever the broker is there; at the end let running handlers finish.

    When consumption has ended and does not come back by itself, because a channel was closed or a queue deleted, all
    is declared and started again. Besides, all is declared every `declare_every_s` seconds.
    """

    async def consume() -> None:
        while True:
            try:
                with broker_may_be_away():
                    async with asyncio.timeout(START_TIMEOUT_S):
                        await declare_topology(url, queues, exchanges)
                        await broker.start()
                    log.info("consuming", queues=[queue.name for queue in queues])
                    await _until_lost(broker)
                log.warning("consumption_lost")
                await broker.end(grace_s=RESTART_GRACE_S)
            except UNREACHABLE as error:
                log.warning("broker_unreachable", error=repr(error), retry_in_s=RETRY_S)
                await broker.end(grace_s=0)
                await asyncio.sleep(RETRY_S)

    async def declare() -> None:
        while True:
            await asyncio.sleep(declare_every_s)
            try:
                with broker_may_be_away():
                    async with asyncio.timeout(START_TIMEOUT_S):
                        await declare_topology(url, queues, exchanges)
            except UNREACHABLE as error:
                log.warning("topology_not_declared", error=repr(error), retry_in_s=declare_every_s)

    async with asyncio.TaskGroup() as tasks:
        at_work = {
            tasks.create_task(consume(), name="broker-consume"),
            tasks.create_task(declare(), name="broker-declare"),
        }
        try:
            yield
        finally:
            for task in at_work:
                task.cancel()
            await asyncio.wait(at_work)
            await broker.end(grace_s=broker.graceful_timeout_s)


async def _until_lost(broker: Broker) -> None:
    """Return when nothing has been consumed for `LOST_AFTER_S`: no single event says so, the libraries have many."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    while loop.time() - seen < LOST_AFTER_S:
        await asyncio.sleep(LOOK_EVERY_S)
        if await broker.consuming():
            seen = loop.time()


async def check(broker: RabbitBroker) -> None:
    """Raise one of `UNREACHABLE` unless the broker is connected and every subscriber consumes."""
    if not await broker.ping(timeout=1.0):
        raise BrokerNotReadyError("not connected")
    with broker_may_be_away():
        if isinstance(broker, Broker) and not await broker.consuming():
            raise BrokerNotReadyError("not consuming")
