"""The clock of alerts: every second, see whether judging is allowed, sweep what is due, and send what waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from aio_pika.abc import AbstractChannel
from faststream.rabbit import RabbitBroker

from services.alerts.deliveries import deliver_pending
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.gateways import sweep_gateways
from services.alerts.operations.sweeping import sweep
from services.alerts.rules.judgement import Judgement, PipelineView
from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away, check
from shared.clock import Clock
from shared.database_errors import refuses_data
from shared.logs import get_logger
from shared.models import InstallationState
from shared.service_database import DATABASE_FAILURES, ServiceDatabase

TICK_S = 1.0
"""An alert goes out within this time of its moment, and the time that it takes to write it."""

WATCHED = (topology.INGEST_READINGS, topology.ALERTS_READINGS_STORED)
"""Upstream first: what has left the one when it is looked at is in the next, in alerts' own hands, or is folded."""

INTERRUPTED: tuple[type[Exception], ...] = (*UNREACHABLE, *DATABASE_FAILURES)

log = get_logger(__name__)


class Watch:
    """Sweeps and delivers for as long as `running()` lasts."""

    def __init__(
        self,
        database: ServiceDatabase,
        broker: RabbitBroker,
        *,
        events_in_hand: Callable[[], int],
        settle: timedelta,
        metrics: AlertsMetrics,
        clock: Clock,
    ) -> None:
        self._database = database
        self._broker = broker
        self._events_in_hand = events_in_hand
        self._judgement = Judgement(settle)
        self._metrics = metrics
        self._clock = clock

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick in the background until the block ends."""
        task = asyncio.create_task(self._run(), name="watch")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self.tick()
            except Exception as error:
                # A database or broker that is away passes; the next tick finds all that this one did not do.
                self._judgement.interrupted()
                if refuses_data(error):
                    log.exception("tick_failed")
                else:
                    log.warning("tick_failed", error=repr(error))
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """Judge what is due, if that is allowed now, and send what waits."""
        # Taken before the look: what was accepted until now is in a queue that is looked at, or is folded.
        now = self._clock()
        allowed = self._judgement.allows(await self._look(), now)
        self._metrics.judging.set(allowed)
        if allowed:
            gateways = await sweep_gateways(self._database.engine, now, self._clock())
            swept = await sweep(self._database.engine, now, self._clock())
            if gateways.silent or gateways.back or swept.stale:
                log.info("swept", stale=swept.stale, gateways_silent=gateways.silent, gateways_back=gateways.back)
            self._metrics.transitions.labels(InstallationState.STALE.value).inc(swept.stale)
        self._metrics.delivered.inc(await deliver_pending(self._database.engine, self._broker, self._clock))

    async def _look(self) -> PipelineView:
        try:
            await self._database.check()
            await check(self._broker)
            with broker_may_be_away():
                connection = await self._broker.connect()
                async with connection.channel() as channel:
                    waiting = [await _messages_in(channel, queue) for queue in WATCHED]
        except INTERRUPTED as error:
            log.warning("pipeline_interrupted", error=repr(error))
            return PipelineView(whole=False, waiting=0)
        return PipelineView(whole=True, waiting=sum(waiting) + self._events_in_hand())


async def _messages_in(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0
