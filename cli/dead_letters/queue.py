"""Takes dead letters from their queue, one by one; what is not acknowledged goes back to its place at the end.

Killed in the middle, it loses nothing: the broker puts back what was not acknowledged, though in no order, and what
was published and not yet acknowledged is there twice. Each look counts as a delivery (`x-delivery-count`, before
RabbitMQ 4.3), of which the queue allows a million.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from cli.confirmed import CONNECT_TIMEOUT_S
from cli.errors import CommandError
from shared import topology
from shared.amqp_tolerance import tolerate_odd_messages

GET_TIMEOUT_S = 30.0
PUT_BACK_TIMEOUT_S = 5.0
MOST_TAKEN_FOR_ORDER = 20_000
LOOK_EVERY_S = 0.05


class DeadLetterQueue:
    """The queue, with `length` messages in it at the beginning."""

    def __init__(self, queue: AbstractQueue, channel: AbstractChannel) -> None:
        self._queue = queue
        self.channel = channel
        self._held: list[int] = []
        self._returned_before = False
        self.length = int(queue.declaration_result.message_count or 0)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["DeadLetterQueue"]:
        """The queue, with a channel to publish on; what was taken and not acknowledged goes back at the end."""
        tolerate_odd_messages()
        connection = await aio_pika.connect(url, timeout=CONNECT_TIMEOUT_S)
        async with connection, connection.channel(on_return_raises=True) as channel:
            try:
                queue = await channel.declare_queue(topology.DEAD_LETTERS, passive=True)
            except ChannelNotFoundEntity:
                raise CommandError("the broker has no queue `dead-letters`; run `mbus migrate`") from None
            letters = cls(queue, channel)
            try:
                yield letters
            except BaseException:
                with suppress(Exception):  # what went wrong first is what counts; the broker puts all back anyway
                    await letters._put_back()
                raise
            await letters._put_back()

    async def take(self, most: int | None = None) -> AsyncIterator[AbstractIncomingMessage]:
        """Each message once, the oldest first: those that were there at the beginning, or the first `most` of them.

        What is put in meanwhile comes after them, so that a replay which fails does not go round and round.
        """
        for _ in range(self.length if most is None else min(most, self.length)):
            message = await self._get()
            if message is None:
                return
            yield message
            if message.processed:
                self._held.pop()

    async def _get(self) -> AbstractIncomingMessage | None:
        message = await self._queue.get(fail=False, timeout=GET_TIMEOUT_S)
        if message is None or message.delivery_tag is None:
            return None
        self._held.append(message.delivery_tag)
        self._returned_before = bool(message.redelivered)
        return message

    async def _put_back(self) -> None:
        """Return what is held one by one in its order, which the broker itself would not keep, and see it there again.

        The broker delivers what was returned before everything else, and puts what is returned now behind that. So
        the rest of that is taken and returned too, unless it is very much.
        """
        if not self._held:
            return
        for _ in range(MOST_TAKEN_FOR_ORDER):
            if not self._returned_before or await self._get() is None:
                break
        channel = await self.channel.get_underlay_channel()
        for tag in self._held:
            await channel.basic_nack(tag, requeue=True)
        # Who looks next would else find only some of it, and take those for the oldest.
        with suppress(TimeoutError):
            async with asyncio.timeout(PUT_BACK_TIMEOUT_S):
                while await self._ready() < len(self._held):  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(LOOK_EVERY_S)

    async def _ready(self) -> int:
        queue = await self.channel.declare_queue(topology.DEAD_LETTERS, passive=True)
        return int(queue.declaration_result.message_count or 0)
