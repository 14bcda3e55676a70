"""Replays by itself what waited in quarantine for a gateway or an installation that has been registered since."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

from faststream.rabbit import RabbitBroker
from sqlalchemy import select

from services.ingest.metrics import IngestMetrics
from services.ingest.queries import registry_version
from services.ingest.waiting import BEGINNING, READINGS_A_STEP, Awaited, find_ready
from shared import topology
from shared.broker import publish
from shared.clock import Clock
from shared.logs import get_logger
from shared.models import QuarantinedReading
from shared.quarantine.replay import CONTENT_TYPE, ROWS_AT_ONCE, Replay, replay
from shared.service_database import ServiceDatabase

SHARE_OF_TIME = 50
"""Between two looks at least so many times the time that the last one took."""

SHARE_OF_TIME_AFTER_CHANGE = 5
"""The same while the first walk after a change of the registry lasts."""

VERSION_EVERY_S = 1.0
"""How often it looks whether the registry has changed, which costs next to nothing."""

log = get_logger(__name__)


class Looked(NamedTuple):
    """How long the search took, in seconds, and where the next part of it begins."""

    seconds: float
    next: Awaited


class Replaying:
    """Looks for readings whose cause of refusal has gone, and replays them.

    It does so when the registry has changed, and every `interval_s` seconds besides: what was judged by the registry as
    it was may be quarantined after the look that the change brought about.
    """

    def __init__(
        self,
        database: ServiceDatabase,
        broker: RabbitBroker,
        metrics: IngestMetrics,
        clock: Clock,
        *,
        interval_s: float,
    ) -> None:
        self._database = database
        self._broker = broker
        self._metrics = metrics
        self._clock = clock
        self._interval_s = interval_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do so until the block ends. What is under way then is given up: it waits for the next one who looks."""
        async with asyncio.TaskGroup() as tasks:
            at_work = tasks.create_task(self._run(), name="replaying")
            yield
            at_work.cancel()

    async def _run(self) -> None:
        after, version = BEGINNING, None
        is_news = missed = False
        while True:
            try:
                before, version = version, await self._registry_version()
                # A walk ends before another begins: registrations may come faster than it gets through.
                if after == BEGINNING:
                    is_news = is_news or version != before
                else:
                    missed = missed or version != before
                looked = await self.look(after)
                after = looked.next
                pause_s = looked.seconds * (SHARE_OF_TIME_AFTER_CHANGE if is_news else SHARE_OF_TIME)
                if after != BEGINNING:
                    await asyncio.sleep(pause_s)
                    continue
                is_news, missed = missed, False
                await self._pause(max(0 if is_news else self._interval_s, pause_s), version)
            except Exception as error:  # noqa: BLE001 - servers are away in many ways; ingest goes on, and this later
                log.warning("replay_failed", error=repr(error), retry_in_s=self._interval_s)
                await asyncio.sleep(self._interval_s)

    async def _pause(self, seconds: float, version: UUID) -> None:
        """Wait so long, or until the registry has changed: what is awaited may have come."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, VERSION_EVERY_S))
            if await self._registry_version() != version:
                return

    async def _registry_version(self) -> UUID:
        async with self._database.engine.connect() as connection:
            return await registry_version(connection)

    async def look(self, after: Awaited = BEGINNING) -> Looked:
        """Replay what is found in a part of what is waited for. Raises what a server that is away raises."""
        while True:
            started = time.perf_counter()
            async with self._database.engine.begin() as connection:
                step = await find_ready(connection, after, self._clock())
            seconds = time.perf_counter() - started
            replayed = await self._replay(step.found)
            if len(step.found) < READINGS_A_STEP or not replayed:
                return Looked(seconds, step.next)

    async def _replay(self, found: list[int]) -> int:
        """Returns how many were replayed; others are at the rest."""
        count = 0
        for start in range(0, len(found), ROWS_AT_ONCE):
            few = QuarantinedReading.id.in_(found[start : start + ROWS_AT_ONCE])
            chosen = select(QuarantinedReading.id).where(few, QuarantinedReading.replayed_at.is_(None))
            replayed = await replay(self._database.engine, chosen, self._publish, now=self._clock(), automatic=True)
            self._metrics.replayed(len(replayed.ids))
            count += len(replayed.ids)
            if replayed.error is not None:
                raise replayed.error
        if count:
            log.info("replayed", readings=count)
        return count

    async def _publish(self, message: Replay) -> None:
        await publish(
            self._broker,
            message.body,
            exchange=topology.GATEWAYS,
            routing_key=message.routing_key,
            content_type=CONTENT_TYPE,
            headers=message.headers,
        )
