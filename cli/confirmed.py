"""Publishes to the broker, mandatory and confirmed, as its administrator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError

from cli.errors import CommandError

CONNECT_TIMEOUT_S = 10.0
PUBLISH_TIMEOUT_S = 10.0


@asynccontextmanager
async def open_channel(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel with confirms on a connection of its own, which is not made anew when it is lost."""
    connection = await aio_pika.connect(url, timeout=CONNECT_TIMEOUT_S)
    async with connection, connection.channel(on_return_raises=True) as channel:
        yield channel


async def publish(channel: AbstractChannel, message: aio_pika.Message, *, exchange: str, routing_key: str) -> None:
    """Return when the broker has the message; `CommandError` when it does not take it."""
    to = await channel.get_exchange(exchange, ensure=False)
    try:
        await to.publish(message, routing_key, mandatory=True, timeout=PUBLISH_TIMEOUT_S)
    except PublishError:
        raise CommandError("the broker has no queue for it; run `mbus migrate`") from None
    except DeliveryError:
        raise CommandError("the broker does not take it: its queue is full, or it is short of memory or disk") from None
