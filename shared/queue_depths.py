"""How much waits in the queues, for Prometheus: asked every few seconds, and unknown while the broker is away."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Gauge

from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away, check
from shared.broker_connection import Broker

ASK_EVERY_S = 5.0
ANSWER_S = 5.0


class QueueDepths:
    """`mbus_queue_messages` and `mbus_queue_consumers`; NaN, and no old figure, where the broker does not tell."""

    def __init__(self, broker: Broker, queues: Sequence[topology.Queue], registry: CollectorRegistry) -> None:
        self._broker = broker
        self._queues = [queue.name for queue in queues]
        self._messages = Gauge(
            "mbus_queue_messages", "Messages that wait; without those in hand", ["queue"], registry=registry
        )
        self._consumers = Gauge("mbus_queue_consumers", "Consumers of the queue", ["queue"], registry=registry)
        for name in self._queues:
            self._set(name, math.nan, math.nan)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask in the background until the block ends."""

        async def ask_again_and_again() -> None:
            while True:
                for name in self._queues:
                    await self._ask(name)
                await asyncio.sleep(ASK_EVERY_S)

        task = asyncio.create_task(ask_again_and_again(), name="queue-depths")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _ask(self, name: str) -> None:
        try:
            with broker_may_be_away():
                async with asyncio.timeout(ANSWER_S):
                    await check(self._broker)
                    connection = await self._broker.connect()
                    # A channel each: a queue that is not there closes it.
                    async with connection.channel() as channel:
                        declared = (await channel.declare_queue(name, passive=True)).declaration_result
        except UNREACHABLE:
            self._set(name, math.nan, math.nan)
        else:
            self._set(name, declared.message_count or 0, declared.consumer_count or 0)

    def _set(self, name: str, messages: float, consumers: float) -> None:
        self._messages.labels(name).set(messages)
        self._consumers.labels(name).set(consumers)
