"""Publishing as a gateway does, and waiting for what a queue holds."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel

from shared import topology


@asynccontextmanager
async def open_channel(url: str) -> AsyncIterator[AbstractRobustChannel]:
    """A channel with confirms, on a connection of its own."""
    connection = await aio_pika.connect_robust(url)
    async with connection:
        channel = await connection.channel()
        assert isinstance(channel, AbstractRobustChannel)
        yield channel


async def writes_stamps(url: str) -> bool:
    """Whether the broker writes when it accepted a message into it, as RabbitMQ 4 does by `deploy/rabbitmq`."""
    async with open_channel(url) as channel:
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b""), queue.name, timeout=10)
        accepted = await queue.get(no_ack=True)
        return "timestamp_in_ms" in accepted.headers


async def publish_as_gateway(
    url: str, gateway_id: str, body: object, *, headers: dict[str, Any] | None = None, key: str | None = None
) -> None:
    """Publish `body`, as JSON unless it is bytes, under the gateway's routing key; confirmed and mandatory."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with open_channel(url) as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        await exchange.publish(
            aio_pika.Message(raw, headers=headers, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
            key or topology.gateway_readings_key(gateway_id),
            timeout=10,
        )


async def publish_event(url: str, routing_key: str, body: bytes) -> None:
    """Publish on the `events` exchange, confirmed and mandatory."""
    async with open_channel(url) as channel:
        exchange = await channel.get_exchange(topology.EVENTS)
        await exchange.publish(aio_pika.Message(body), routing_key, timeout=10)


class Subscriber:
    """A queue of a subscriber's own, bound to an exchange."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def on_alerts(cls, url: str, pattern: str) -> AsyncIterator["Subscriber"]:
        """Bound to `alerts` with `pattern`, for as long as the block lasts."""
        subscriber = cls()
        async with open_channel(url) as channel:
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(topology.ALERTS, pattern)
            await queue.consume(subscriber._received.put, no_ack=True)
            yield subscriber

    async def next(self, *, timeout_s: float = 20) -> AbstractIncomingMessage:
        """The next message, as soon as it comes."""
        return await asyncio.wait_for(self._received.get(), timeout_s)

    @property
    def waiting(self) -> int:
        """How many messages came that nobody took yet."""
        return self._received.qsize()


async def next_message(url: str, queue: str, *, timeout_s: float = 20) -> AbstractIncomingMessage:
    """Take one message, as soon as there is one."""
    async with open_channel(url) as channel:
        taken: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()
        await channel.set_qos(prefetch_count=1)
        source = await channel.get_queue(queue)

        async def on_message(message: AbstractIncomingMessage) -> None:
            if not taken.done():
                await message.ack()
                taken.set_result(message)

        tag = await source.consume(on_message)
        message = await asyncio.wait_for(taken, timeout_s)
        await source.cancel(tag)
        return message


async def queue_length(url: str, queue: str) -> int:
    """How many messages are ready in `queue`."""
    async with open_channel(url) as channel:
        return int((await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0)


async def eventually(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = 20) -> None:
    """Return as soon as `condition` holds; `TimeoutError` when it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.05)
