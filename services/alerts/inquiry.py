"""Asks all sessions of ingest, round by round, up to when all that the broker accepted is stored."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from uuid import UUID

from services.alerts.ingest_queue import Depth, IngestQueue
from services.alerts.operations.pipeline import remove_sessions
from services.alerts.queries.pipeline import Session, read_sessions
from services.alerts.rules.frontier import Answer, Frontier, Round
from shared.logs import get_logger
from shared.service_database import ServiceDatabase

ASK_EVERY_S = 0.1
"""How often it is looked whether all have answered."""

SPEAK_EVERY_S = 1.0
"""How often whoever asks does something else, however long the answers take."""

SILENT_AFTER_S = 2.5
"""A session that has said nothing for so long, and should each second, may be dead: the broker is asked."""

RETURNED_AFTER_S = 2.0
"""When a connection is gone, what was in its hands is back in the queue after a moment: 27 ms, as far as was seen."""

log = get_logger(__name__)


class Inquiry:
    """What the answers to our rounds have proven, as long as nothing came between."""

    def __init__(self, database: ServiceDatabase, queue: IngestQueue) -> None:
        self._database = database
        self._queue = queue
        self._frontier = Frontier()
        self.obstacle = self._frontier.obstacle
        """What may be in the way of a proof, in words."""
        self.open_since: datetime | None = None
        """By the database's clock: up to when all is stored, or since when that is asked; None: it is not yet."""

    @property
    def is_urgent(self) -> bool:
        """Whether another round, soon, may prove something that the last one did not."""
        return self._frontier.waits

    async def ask(
        self, round_: int, at: datetime, depth: Depth, meanwhile: Callable[[], Awaitable[None]]
    ) -> datetime | None:
        """The newest moment that is proven by the answers to a round, if one is.

        It was `at`, and the queue had that `depth`, before the round began. While the answers are awaited, `meanwhile`
        is done each second. Raises `BrokerUnseenError` when the broker does not say which sessions are alive.
        """
        self.open_since = self.open_since or at
        answers = await self._answers(round_, meanwhile)
        proven = self._frontier.answered(Round(at, depth.waiting, depth.consumers, answers))
        self.open_since = proven or self.open_since
        self.obstacle = self._frontier.obstacle
        return proven

    def begin_anew(self) -> None:
        """Forget what was answered: nobody knows what happened in between."""
        self._frontier.forget()
        self.open_since = None

    async def _answers(self, round_: int, meanwhile: Callable[[], Awaitable[None]]) -> dict[UUID, Answer]:
        """What all sessions say to the round, as soon as the last of them has answered."""
        loop = asyncio.get_running_loop()
        spoken_at = loop.time()
        while True:
            sessions = await read_sessions(self._database.engine)
            late = {key: session for key, session in sessions.items() if session.round < round_}
            if not late:
                return {key: session.answer for key, session in sessions.items()}
            if loop.time() - spoken_at >= SPEAK_EVERY_S:
                self.obstacle = f"{len(late)} of {len(sessions)} sessions of ingest have not dealt with what they have"
                await self._remove_dead(late, round_)
                await meanwhile()
                spoken_at = loop.time()
            await asyncio.sleep(ASK_EVERY_S)

    async def _remove_dead(self, late: Mapping[UUID, Session], round_: int) -> None:
        silent = [key for key, session in late.items() if session.silent_for_s > SILENT_AFTER_S]
        dead = [key for key in silent if not await self._queue.is_alive(key)]
        if dead:
            log.warning("ingest_sessions_died", sessions=[str(key) for key in dead])
            await asyncio.sleep(RETURNED_AFTER_S)
            # Also the present round says nothing any more: a session may have come and gone since it began.
            self._frontier.forget()
            await remove_sessions(self._database.engine, dead, round_)
