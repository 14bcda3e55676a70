"""The clock of alerts: judge what is due as far as that is allowed, number and send what waits, tidy up, and again."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from faststream.rabbit import RabbitBroker

from services.alerts.deliveries import deliver_pending
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.gateways import GatewaysSwept, sweep_gateways
from services.alerts.operations.numbering import number_events
from services.alerts.operations.reminding import remind
from services.alerts.operations.retention import remove_delivered
from services.alerts.operations.sweeping import Swept, sweep
from services.alerts.queries.pipeline import Seen, read_pipeline
from services.alerts.repeating import again_and_again
from services.alerts.rounds import Rounds
from services.alerts.subscribers.disabling import drop_strays
from services.alerts.subscribers.secrets import forget_secrets
from shared.clock import Monotonic
from shared.ending import end
from shared.logs import get_logger
from shared.models import GatewayState, InstallationState
from shared.service_database import ServiceDatabase

REMOVE_EVERY_S = 60.0
"""What was delivered long ago may stay a little longer."""

REMIND_EVERY_S = 30.0
"""An hour is the shortest time between two reminders."""

FAILS_AFTER_S = 30.0
"""Judgement that has failed each time for so long is no passing trouble: it is told."""

BATCHES = 2
"""Of installations in one tick, before it is asked anew up to when may be judged, and gateways have their turn."""

log = get_logger(__name__)


class Watch:
    """Sweeps and delivers for as long as `running()` lasts. A slow delivery holds up no sweep, and no round.

    Events that were delivered longer ago than `keep_deliveries` are removed.
    """

    def __init__(
        self,
        database: ServiceDatabase,
        broker: RabbitBroker,
        rounds: Rounds,
        *,
        keep_deliveries: timedelta,
        metrics: AlertsMetrics,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._database = database
        self._broker = broker
        self._rounds = rounds
        self._keep_deliveries = keep_deliveries
        self._metrics = metrics
        self._monotonic = monotonic
        self._seen: Seen | None = None
        self._failing_since: float | None = None
        """By the monotonic clock; None since judging went well."""
        self._made = asyncio.Event()
        """Set when there may be something new."""
        self._numbered = asyncio.Event()
        """Set when that has its numbers, and is to be sent: the other way round each would find it in use."""
        metrics.judging_lag.set(math.nan)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lead or follow the rounds, judge, send and tidy up in the background until the block ends."""
        async with self._rounds.running():
            tasks = {
                asyncio.create_task(again_and_again(self.judge, self._rounds.moved), name="judge"),
                asyncio.create_task(again_and_again(self._number, self._made), name="number"),
                asyncio.create_task(again_and_again(self._deliver, self._numbered), name="deliver"),
                asyncio.create_task(
                    again_and_again(self.remind, asyncio.Event(), every_s=REMIND_EVERY_S), name="remind"
                ),
                asyncio.create_task(
                    again_and_again(self._tidy_up, asyncio.Event(), every_s=REMOVE_EVERY_S), name="tidy up"
                ),
            }
            try:
                yield
            finally:
                await end(*tasks)

    def judgement(self) -> str:
        """What this replica knows of judgement, in words for an operator."""
        if self._fails:
            return f"fails each time for longer than {FAILS_AFTER_S:.0f} s: the log says why (tick_failed)"
        if self._seen is None:
            return "not known: the database has not said yet"
        return self._seen.in_words

    async def judge(self) -> None:
        """Judge what is due, if that is allowed now. What goes wrong is raised, and told when it does not pass."""
        try:
            await self._judge()
        except Exception:
            if self._failing_since is None:
                self._failing_since = self._monotonic()
            if self._fails:
                self._metrics.judging.set(0)
            raise
        self._failing_since = None
        self._metrics.judging.set(self._seen is not None and self._seen.judge_until is not None)

    @property
    def _fails(self) -> bool:
        return self._failing_since is not None and self._monotonic() - self._failing_since >= FAILS_AFTER_S

    async def _judge(self) -> None:
        self._seen = None
        seen = self._seen = await read_pipeline(self._database.engine)
        until = seen.judge_until
        if seen.standing.judged_until is not None:
            self._metrics.judging_lag.set((seen.now - seen.standing.judged_until).total_seconds())
        if until is None:
            return
        gateways = await sweep_gateways(self._database.engine, until, seen.now)
        swept = await sweep(self._database.engine, until, seen.now, batches=BATCHES)
        if swept.unfinished:
            self._rounds.moved.set()
        if gateways.silent or gateways.back or swept.stale or swept.fresh:
            log.info(
                "swept",
                stale=swept.stale,
                fresh=swept.fresh,
                gateways_silent=gateways.silent,
                gateways_back=gateways.back,
            )
            self._made.set()
        self._count(gateways, swept)

    def _count(self, gateways: GatewaysSwept, swept: Swept) -> None:
        self._metrics.transitions.labels(InstallationState.STALE.value).inc(swept.stale)
        self._metrics.transitions.labels(InstallationState.FRESH.value).inc(swept.fresh)
        self._metrics.gateway_transitions.labels(GatewayState.SILENT.value).inc(gateways.silent)
        self._metrics.gateway_transitions.labels(GatewayState.HEARD.value).inc(gateways.back)

    async def _number(self) -> None:
        """Number what live streams are to tell; then it may be sent, also where that went wrong."""
        try:
            await number_events(self._database.engine)
        finally:
            self._numbered.set()

    async def _deliver(self) -> None:
        """Send what waits."""
        self._metrics.delivered.inc(await deliver_pending(self._database.engine, self._broker))

    async def remind(self) -> None:
        """Tell again of what lasts, where judgement is not held: else nobody knows whether it does."""
        seen = await read_pipeline(self._database.engine)
        if seen.judge_until is None:
            return
        reminded = await remind(self._database.engine, seen.now)
        self._metrics.reminders.inc(reminded)
        if reminded:
            log.info("reminded", count=reminded)

    async def _tidy_up(self) -> None:
        """Remove what was sent long ago, and drop what nobody is to be sent any more."""
        await drop_strays(self._database.engine)
        await forget_secrets(self._database.engine)
        removed = await remove_delivered(self._database.engine, kept=self._keep_deliveries)
        if removed:
            log.info("old_deliveries_removed", count=removed)
