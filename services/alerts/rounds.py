"""Finds out up to when silence may be judged: one replica leads the rounds, the others wait to take over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

from services.alerts.ingest_queue import BrokerUnseenError, IngestQueue
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.pipeline import remove_sessions, write_ruling
from services.alerts.queries.pipeline import Seen, Session, read_pipeline, read_sessions
from services.alerts.rules.frontier import Answer, Frontier, Round
from services.alerts.rules.judgement import (
    BEHIND_AFTER,
    Cause,
    ClockWatch,
    Ruling,
    Trouble,
    absence,
    disagreement,
    go_on,
    hold,
)
from shared.clock import Clock, Monotonic
from shared.counted import counted
from shared.logs import get_logger
from shared.service_database import DATABASE_FAILURES, ServiceDatabase, is_away

BEGIN_EVERY_S = 1.0
"""How often a round begins; one that has left something to prove is followed by the next at once."""

AT_ONCE_S = 0.1
ASK_EVERY_S = 0.1
"""How often the leader looks whether all have answered."""

RULE_EVERY_S = 1.0
"""How often the leader says that it is there, however long the answers take."""

TAKE_OVER_AFTER = timedelta(seconds=5)
"""Another replica leads when the leader has said nothing for so long: longer than the broker is waited for."""

LOOK_AGAIN_S = 1.0
"""How often the others look whether it has."""

SILENT_AFTER_S = 5.0
"""A session of ingest that has said nothing for so long may be dead: the broker is asked."""

RETURNED_AFTER_S = 2.0
"""When a connection is gone, what was in its hands is back in the queue after a moment: 27 ms, as far as was seen."""

log = get_logger(__name__)


class _LeadError(Exception):
    """Another replica leads."""


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
        self._settle = settle
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._clocks = ClockWatch()
        self._frontier = Frontier()
        self._round: int | None = None
        """The round that this replica began, if it leads."""
        self._followed: int | None = None
        self._trouble: Trouble | None = None
        """What was wrong since the last ruling."""
        self._failed = False
        """Whether the last turn ended with a failure of the database."""
        self._proven_at = 0.0
        """By the monotonic clock: all that was accepted by then is stored."""
        self._obstacle = "nothing is known of ingest yet"
        self._ruled_at = 0.0
        self.moved = asyncio.Event()
        """Set whenever more may be judged than before."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take turns in the background until the block ends."""
        task = asyncio.create_task(self._run(), name="rounds")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._queue.close()

    async def _run(self) -> None:
        while True:
            try:
                pause_s = await self._turn()
            except _LeadError:
                self._stand_by()
                pause_s = LOOK_AGAIN_S
            except DATABASE_FAILURES as error:
                if is_away(error):
                    self._note(Trouble(Cause.DATABASE, "the database could not be reached"), error)
                elif self._failed:
                    self._note(
                        Trouble(Cause.DATABASE, "the database refuses what rounds need: the log says why"), error
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
        seen = await self._read()
        if seen.round != self._round:
            return await self._follow(seen)
        try:
            depth = await self._queue.look()
            await self._rule(seen.round, begins=True)
            question = Round(seen.now, depth.waiting, depth.consumers, await self._answers())
        except BrokerUnseenError as error:
            self._note(Trouble(Cause.BROKER, str(error)), error.__cause__)
            await self._rule(self._round)
            return BEGIN_EVERY_S
        proven = self._frontier.answered(question)
        took_s = self._monotonic() - began_at
        self._metrics.rounds.observe(took_s)
        if proven is not None:
            self._proven_at = began_at - (seen.now - proven).total_seconds()
        self._obstacle = _obstacle(question)
        await self._rule(self._round, proven=proven)
        return AT_ONCE_S if self._frontier.waits else max(AT_ONCE_S, BEGIN_EVERY_S - took_s)

    async def _follow(self, seen: Seen) -> float:
        if self._round is not None:
            raise _LeadError
        if seen.looked_at is not None and seen.now - seen.looked_at <= TAKE_OVER_AFTER:
            if seen.round != self._followed and self._followed is not None:
                self._trouble = None  # what it was, the leader knows
            self._followed = seen.round
            return LOOK_AGAIN_S
        self._stand_by()
        self._begin_anew()
        # The claim: a round that nobody waits for. It says at once that somebody is there.
        await self._rule(seen.round, begins=True)
        log.info("leading", round=self._round)
        return 0

    async def _answers(self) -> dict[UUID, Answer]:
        """What all sessions say to the present round, as soon as the last of them has answered."""
        while True:
            sessions = await read_sessions(self._database.engine)
            late = {key: session for key, session in sessions.items() if session.round < (self._round or 0)}
            if not late:
                return {key: session.answer for key, session in sessions.items()}
            if self._monotonic() - self._ruled_at >= RULE_EVERY_S:
                self._obstacle = f"{len(late)} of {len(sessions)} sessions of ingest have not dealt with what they have"
                await self._remove_dead(late)
                await self._rule(self._round)
            await asyncio.sleep(ASK_EVERY_S)

    async def _remove_dead(self, late: dict[UUID, Session]) -> None:
        silent = [key for key, session in late.items() if session.silent_for_s > SILENT_AFTER_S]
        dead = [key for key in silent if not await self._queue.is_alive(key)]
        if dead:
            log.warning("ingest_sessions_died", sessions=[str(key) for key in dead])
            await asyncio.sleep(RETURNED_AFTER_S)
            # Also the present round says nothing any more: a session may have come and gone since it began.
            self._frontier.forget()
            await remove_sessions(self._database.engine, dead)

    async def _read(self) -> Seen:
        """How judgement stands; takes note of a clock that cannot be believed."""
        asked_at = self._clock()
        seen = await read_pipeline(self._database.engine)
        answered_at = self._clock()
        trouble = self._clocks.stepped(answered_at, self._monotonic()) or disagreement(asked_at, answered_at, seen.now)
        if trouble is not None:
            self._note(trouble)
        return seen

    async def _rule(self, known: int | None, *, proven: datetime | None = None, begins: bool = False) -> None:
        """Say how judgement stands now, if the round is still the `known` one; `begins` the next one with that."""
        seen = await self._read()
        if seen.round != known:
            raise _LeadError
        trouble = self._what_is_wrong(seen, proven)
        if trouble is not None:
            ruling = hold(seen.standing, trouble, seen.now)
        else:
            ruling = go_on(seen.standing, proven, seen.now, settle=self._settle)
        if not await write_ruling(self._database.engine, seen, ruling, next_round=begins):
            raise _LeadError
        self._trouble = None
        self._ruled_at = self._monotonic()
        if begins:
            self._round = seen.round + 1
        self._tell(seen, ruling, trouble)

    def _what_is_wrong(self, seen: Seen, proven: datetime | None) -> Trouble | None:
        absent = absence(seen.looked_at, seen.now)
        if absent is None:
            return self._trouble or self._behind(seen, proven)
        self._begin_anew()
        # What kept us from looking says more than that nobody did.
        return self._trouble if self._trouble is not None and absent.is_news else absent

    def _behind(self, seen: Seen, proven: datetime | None) -> Trouble | None:
        # What stands in the row grows old whoever leads; while judgement is held it stands still.
        unjudged = seen.standing.unjudged(proven, seen.now)
        behind_s = self._monotonic() - self._proven_at if unjudged is None else unjudged.total_seconds()
        if behind_s <= BEHIND_AFTER.total_seconds():
            return None
        return Trouble(
            Cause.BEHIND, f"what was accepted {behind_s:.0f} s ago is not known to be stored: {self._obstacle}"
        )

    def _note(self, trouble: Trouble, error: BaseException | None = None) -> None:
        log.warning("judgement_interrupted", cause=trouble.cause.value, words=trouble.words, error=repr(error))
        self._trouble = trouble
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._frontier.forget()
        self._proven_at = self._monotonic()

    def _stand_by(self) -> None:
        self._round = self._followed = None

    def _tell(self, seen: Seen, ruling: Ruling, trouble: Trouble | None) -> None:
        if trouble is not None:
            self._metrics.held.labels(trouble.cause.value).inc()
        if ruling.told is not None:
            log.warning(ruling.told.kind.value, reason=ruling.told.reason)
        if ruling.standing.judged_until != seen.standing.judged_until:
            self.moved.set()


def _obstacle(question: Round) -> str:
    """What may be in the way of a proof, in words."""
    if not question.answers:
        return "no ingest consumes"
    if question.taken_by_strangers:
        known = len(question.answers)
        return f"{question.consumers} consumers take from ingest's queue, and only {known} sessions of ingest are known"
    if question.waiting:
        return f"{counted(question.waiting, 'message')} in ingest's queue, and it does not keep up"
    return "sessions of ingest have come or gone, or gave messages back"
