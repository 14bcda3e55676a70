"""Leads the rounds that find out up to when silence may be judged, or waits to take over from the one who does."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from services.alerts.ingest_queue import BrokerUnseenError, IngestQueue
from services.alerts.inquiry import Inquiry
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.pipeline import resign, write_ruling
from services.alerts.queries.pipeline import Seen, read_pipeline
from services.alerts.rules.judgement import (
    BEHIND_AFTER,
    ClockWatch,
    Ruling,
    Trouble,
    absence,
    disagreement,
    go_on,
    hold,
)
from services.alerts.rules.leading import takes_over
from shared.clock import Clock, Monotonic
from shared.ending import end
from shared.logs import get_logger
from shared.messages.alert_events import PipelineCause
from shared.service_database import DATABASE_FAILURES, ServiceDatabase, is_away

BEGIN_EVERY_S = 1.0
"""How often a round begins; one that has left something to prove is followed by the next at once."""

AT_ONCE_S = 0.1

LOOK_AGAIN_S = 1.0
"""How often those who do not lead look whether they should."""

RESIGN_WITHIN_S = 1.0
"""Who ends waits no longer until the others know: then they find out by themselves."""

log = get_logger(__name__)


class _LeadError(Exception):
    """This replica does not lead, or not any more."""


class Rounds:
    """Leads rounds, or stands by, for as long as `running()` lasts.

    Who began the newest round leads it; its number is in the database, and each write says which one it knows. So no
    replica has to be told that it was taken for dead, and one that wakes up late can write nothing.
    """

    def __init__(
        self,
        database: ServiceDatabase,
        queue: IngestQueue,
        *,
        settle: timedelta,
        metrics: AlertsMetrics,
        clock: Clock,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._database = database
        self._queue = queue
        self._inquiry = Inquiry(database, queue)
        self._settle = settle
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._clocks = ClockWatch()
        self._round: int | None = None
        """The round that this replica began, if it leads."""
        self._followed: int | None = None
        self._trouble: Trouble | None = None
        """What was wrong since the last ruling."""
        self._ruling = asyncio.Lock()
        self._failed = False
        """Whether the last turn ended with a failure of the database."""
        self.moved = asyncio.Event()
        """Set whenever more may be judged than before."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take turns in the background until the block ends."""
        task = asyncio.create_task(self._run(), name="rounds")
        try:
            yield
        finally:
            # Not in the middle of a ruling: nobody would know whether that began another round.
            with suppress(TimeoutError):
                async with asyncio.timeout(RESIGN_WITHIN_S), self._ruling:
                    await end(task)
            await end(task)
            await self._resign()
            await self._queue.close()

    async def _resign(self) -> None:
        """Tell the others that nobody leads any more, so that one of them does at once."""
        if self._round is not None:
            with suppress(*DATABASE_FAILURES):
                async with asyncio.timeout(RESIGN_WITHIN_S):
                    await resign(self._database.engine, self._round)

    async def _run(self) -> None:
        while True:
            try:
                pause_s = await self._turn()
            except _LeadError:
                self._stand_by()
                pause_s = LOOK_AGAIN_S
            except DATABASE_FAILURES as error:
                if is_away(error):
                    self._note(Trouble(PipelineCause.DATABASE, "the database could not be reached"), error)
                elif self._failed:
                    self._note(
                        Trouble(PipelineCause.DATABASE, "the database refuses what rounds need: the log says why"),
                        error,
                    )
                else:
                    # One statement that took too long, or found no free connection, says little.
                    log.warning("round_failed", error=repr(error))
                self._failed = True
                pause_s = LOOK_AGAIN_S
            except Exception:
                log.exception("round_failed")
                pause_s = LOOK_AGAIN_S
            else:
                self._failed = False
            await asyncio.sleep(pause_s)

    async def _turn(self) -> float:
        """Lead one round, or see whether to take over; returns how long to pause."""
        began_at = self._monotonic()
        seen, doubt = await self._read()
        if seen.round != self._round:
            return await self._follow(seen, doubt)
        if doubt is not None:
            self._note(doubt)
        try:
            depth = await self._queue.look()
            round_ = await self._rule(seen.round, begins=True)
            proven = await self._inquiry.ask(round_, seen.now, depth, self._rule_on)
        except BrokerUnseenError as error:
            self._note(Trouble(PipelineCause.BROKER, str(error)), error.__cause__)
            await self._rule_on()
            return BEGIN_EVERY_S
        took_s = self._monotonic() - began_at
        self._metrics.rounds.observe(took_s)
        await self._rule(round_, proven=proven)
        return AT_ONCE_S if self._inquiry.is_urgent else max(AT_ONCE_S, BEGIN_EVERY_S - took_s)

    async def _follow(self, seen: Seen, doubt: Trouble | None) -> float:
        if self._round is not None:
            raise _LeadError
        if not takes_over(seen.looked_at, seen.now, resigned=seen.resigned, believed=doubt is None):
            if seen.round != self._followed and self._followed is not None:
                self._trouble = None  # what it was, the leader knows
            self._followed = seen.round
            return LOOK_AGAIN_S
        self._inquiry.begin_anew()
        # The claim: a round that nobody waits for. It says at once that somebody is there.
        round_ = await self._rule(seen.round, begins=True)
        log.info("leading", round=round_)
        return 0

    async def _read(self) -> tuple[Seen, Trouble | None]:
        """How judgement stands, and why our clock or the database's cannot be believed, if that is so."""
        asked_at = self._clock()
        seen = await read_pipeline(self._database.engine)
        answered_at = self._clock()
        doubt = self._clocks.stepped(answered_at, self._monotonic())
        return seen, doubt or disagreement(asked_at, answered_at, seen.now)

    async def _rule_on(self) -> None:
        """Say that this replica leads still, and what is wrong."""
        await self._rule(self._round)

    async def _rule(self, known: int | None, *, proven: datetime | None = None, begins: bool = False) -> int:
        """Say how judgement stands now, if the round is still the `known` one; `begins` the next one with that.

        Returns the round. Raises `_LeadError` where this replica does not lead, or only said why it does not.
        """
        seen, doubt = await self._read()
        if seen.round != known:
            raise _LeadError
        if doubt is not None:
            self._note(doubt)
        trouble = self._what_is_wrong(seen, proven)
        if trouble is not None:
            ruling = hold(seen.standing, trouble, seen.now)
        else:
            ruling = go_on(seen.standing, proven, seen.now, settle=self._settle)
        # Whose clock is wrong cannot be told. A replica whose clock agrees with the database's may know better.
        resigns = trouble is not None and trouble.cause is PipelineCause.CLOCK
        async with self._ruling:
            if not await write_ruling(self._database.engine, seen, ruling, next_round=begins, resigns=resigns):
                raise _LeadError
            self._round = seen.round + begins
        self._trouble = None
        self._tell(seen, ruling, trouble)
        if resigns:
            raise _LeadError
        return self._round

    def _what_is_wrong(self, seen: Seen, proven: datetime | None) -> Trouble | None:
        absent = absence(seen.looked_at, seen.now)
        if absent is None:
            return self._trouble or self._behind(seen, proven)
        self._inquiry.begin_anew()
        # What kept us from looking says more than that nobody did.
        return self._trouble if self._trouble is not None and absent.is_news else absent

    def _behind(self, seen: Seen, proven: datetime | None) -> Trouble | None:
        # What stands in the row grows old whoever leads; while judgement is held it stands still.
        unjudged = seen.standing.unjudged(proven, seen.now)
        behind = seen.now - (self._inquiry.open_since or seen.now) if unjudged is None else unjudged
        if behind <= BEHIND_AFTER:
            return None
        words = f"what was accepted {behind.total_seconds():.0f} s ago is not known to be stored"
        return Trouble(PipelineCause.BEHIND, f"{words}: {self._inquiry.obstacle}")

    def _note(self, trouble: Trouble, error: BaseException | None = None) -> None:
        log.warning("judgement_interrupted", cause=trouble.cause.value, words=trouble.words, error=repr(error))
        self._trouble = trouble
        self._inquiry.begin_anew()

    def _stand_by(self) -> None:
        self._round = self._followed = None

    def _tell(self, seen: Seen, ruling: Ruling, trouble: Trouble | None) -> None:
        if trouble is not None:
            self._metrics.held.labels(trouble.cause.value).inc()
        if ruling.told is not None:
            of = ruling.told.degradation.trouble
            log.warning(ruling.told.kind.value, cause=of.cause.value, reason=of.words)
        if ruling.standing.judged_until != seen.standing.judged_until:
            self.moved.set()
