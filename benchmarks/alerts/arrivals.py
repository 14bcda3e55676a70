"""A subscriber that notes when each alert arrives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import aio_pika
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.errors import BenchError
from shared import topology
from shared.messages.alert_events import AlertEventType, InstallationAlertEvent

MISSING_AFTER_S = 60.0


@dataclass(frozen=True)
class Arrival:
    """An event of a silent installation, and when it came: seconds since 1970."""

    at: float
    installation_id: UUID


class Arrivals:
    """What has come so far. Bodies are read when somebody asks, and not while others are on their way."""

    def __init__(self) -> None:
        self._messages: list[tuple[float, bytes]] = []
        self._came = asyncio.Condition()

    async def note(self, message: AbstractIncomingMessage) -> None:
        """Take a message that came now."""
        self._messages.append((time.time(), message.body))
        async with self._came:
            self._came.notify_all()

    async def wait_for(self, count: int) -> None:
        """Return when `count` have come in all; `BenchError` when they do not in time."""
        try:
            async with asyncio.timeout(MISSING_AFTER_S), self._came:
                await self._came.wait_for(lambda: len(self._messages) >= count)
        except TimeoutError:
            raise BenchError(f"{len(self._messages)} of {count} alerts came in {MISSING_AFTER_S:.0f} s") from None

    @property
    def stale(self) -> list[Arrival]:
        """The arrivals, as they came."""
        return [
            Arrival(at, msgspec.json.decode(body, type=InstallationAlertEvent).data.installation_id)
            for at, body in self._messages
        ]


@asynccontextmanager
async def subscribed(broker_url: str) -> AsyncIterator[Arrivals]:
    """A queue bound to the silences of installations of every tenant, and what arrives in it, until the block ends."""
    arrivals = Arrivals()
    connection = await aio_pika.connect(broker_url, timeout=10)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topology.ALERTS, topology.alert_key("*", AlertEventType.INSTALLATION_STALE))
        await queue.consume(arrivals.note, no_ack=True)
        yield arrivals
