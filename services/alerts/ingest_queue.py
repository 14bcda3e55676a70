"""What the broker says of ingest: how much waits in its queue, how many take from it, and which sessions are alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource

from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away
from shared.broker_connection import with_heartbeat

ANSWER_S = 3.0
"""A broker that takes longer is as good as away."""

CLOSED_WITHIN_S = 0.5
"""A connection that takes longer to close is left to itself. Both together are less than a leader may be silent."""

AWAY = "the broker could not be reached"
REFUSED = "the broker allows alerts no look at ingest's queues (ACCESS_REFUSED)"


class BrokerUnseenError(Exception):
    """The broker did not answer, or was away since the last look, or allows none; says so in words."""


class Depth(NamedTuple):
    """How many messages are ready in a queue, and how many consumers it has."""

    waiting: int
    consumers: int


class IngestQueue:
    """Looks at `ingest.readings` by a connection of its own, which is not mended in silence: a loss is news."""

    def __init__(self, url: str) -> None:
        self._url = with_heartbeat(url)
        self._connection: AbstractConnection | None = None

    async def look(self) -> Depth:
        """How full the queue is; `BrokerUnseenError` when the broker is, or was since the last look, away."""
        async with self._channel() as channel:
            queue = await channel.declare_queue(topology.INGEST_READINGS, passive=True)
            return Depth(queue.declaration_result.message_count or 0, queue.declaration_result.consumer_count or 0)

    async def is_alive(self, session_id: UUID) -> bool:
        """Whether a session's connection is open: then the queue that it declared for itself is locked."""
        async with self._channel() as channel:
            try:
                await channel.declare_queue(topology.session_queue(session_id), passive=True)
            except ChannelNotFoundEntity:
                return False
            except ChannelLockedResource:
                return True
        return True

    async def close(self) -> None:
        """Look no more; the next look connects anew. A broker that hangs answers this as late as all else."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*UNREACHABLE), broker_may_be_away():
                async with asyncio.timeout(CLOSED_WITHIN_S):
                    await connection.close()

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel each time: what is not there closes it. It is not closed where the connection is given up."""
        try:
            with broker_may_be_away():
                async with asyncio.timeout(ANSWER_S):
                    if self._connection is None:
                        self._connection = await aio_pika.connect(self._url)
                    channel = await self._connection.channel()
                    yield channel
                    await channel.close()
        except UNREACHABLE as error:
            await self.close()
            raise BrokerUnseenError(REFUSED if isinstance(error, ChannelAccessRefused) else AWAY) from error
