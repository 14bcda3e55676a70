"""What a session tells alerts: that it is there, and up to which round all is dealt with that it had received.

docs/architecture/staleness.md has the rounds, and why they prove that nothing is under way.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.database_time import DatabaseTime
from services.ingest.open_rounds import Answer, OpenRounds
from shared.broker import BrokerNotReadyError, broker_may_be_away
from shared.broker_connection import ANSWER_S
from shared.ending import end
from shared.logs import get_logger
from shared.models import IngestSession, Pipeline
from shared.service_database import DATABASE_FAILURES, ServiceDatabase

LOOK_EVERY_S = 0.1
"""How often it looks for a new round, and whether one can be answered."""

BEAT_EVERY_S = 1.0

LOOK = select(Pipeline.round, func.clock_timestamp())

log = get_logger(__name__)


class Attending(Protocol):
    """A session, as the rounds see it."""

    @property
    def id(self) -> UUID:
        """The key of its row."""

    @property
    def lost(self) -> bool:
        """Whether its channel is closed."""

    @property
    def dealt_with(self) -> int:
        """All messages up to this delivery tag have left its hands."""

    @property
    def given_back(self) -> int:
        """How many messages it has given back."""

    @property
    def prioritised(self) -> int:
        """How many messages with a priority it has received."""

    @property
    def consumer(self) -> int | None:
        """A number that stays the same while the broker surely counts a consumer of it; None: perhaps it does not."""

    async def caught_up(self) -> int:
        """The newest delivery tag, when all that was sent before the call has arrived."""


class Attendance:
    """The row of a session. A database that is away disturbs nothing that goes on already.

    Whenever it looks, `time` learns what time it is.
    """

    def __init__(self, database: ServiceDatabase, time: DatabaseTime, session: Attending) -> None:
        self._database = database
        self._time = time
        self._session = session
        self._open = OpenRounds()
        self._heard = 0
        self._answered = Answer()
        self._next_beat = 0.0

    async def enter(self) -> None:
        """Learn the time and make the row, however long that takes.

        Raises `BrokerNotReadyError` when the session is lost meanwhile.

        Nothing is to be consumed before: alerts could not know what is in hand. And without a database nothing could
        be stored.
        """
        waiting = False
        while not self._session.lost:
            try:
                await self._look()
                await self._write()
            except DATABASE_FAILURES as error:
                if not waiting:
                    log.warning("consumption_waits_for_the_database", error=repr(error))
                waiting = True
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                return
        raise BrokerNotReadyError("the channel was closed before it was used")

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """Beat, listen and answer in the background until the block ends."""
        # Two tasks: it goes on beating while the broker does not answer.
        tasks = [asyncio.create_task(_repeat(step)) for step in (self._listen, self._tell)]
        try:
            yield
        finally:
            await end(*tasks)

    async def leave(self) -> None:
        """Take the row away, of a session that leaves nothing behind; without a database it stays, for alerts."""
        try:
            async with asyncio.timeout(ANSWER_S), self._at_once() as connection:
                await connection.execute(delete(IngestSession).where(IngestSession.id == self._session.id))
        except DATABASE_FAILURES as error:
            log.warning("session_not_taken_away", error=repr(error))

    async def _listen(self) -> None:
        round_ = await self._look()
        if round_ > self._heard:
            with broker_may_be_away():
                self._open.hear(round_, await self._session.caught_up())
            self._heard = round_

    async def _look(self) -> int:
        """The newest round."""
        asked_at = self._time.now()
        async with self._at_once() as connection:
            round_, now = (await connection.execute(LOOK)).one()
        self._time.learn(asked_at, now)
        return int(round_)

    async def _tell(self) -> None:
        answer = self._open.answer(self._session.dealt_with)
        if answer is not None:
            self._answered = answer
        if answer is not None or asyncio.get_running_loop().time() >= self._next_beat:
            await self._write()

    async def _write(self) -> None:
        self._next_beat = asyncio.get_running_loop().time() + BEAT_EVERY_S
        told = {
            "beat_at": func.now(),
            "round": self._answered.round,
            "received": self._answered.received,
            "given_back": self._session.given_back,
            "prioritised": self._session.prioritised,
            "consumer": self._session.consumer,
        }
        row = insert(IngestSession).values(id=self._session.id, **told)
        async with self._at_once() as connection:
            await connection.execute(row.on_conflict_do_update(index_elements=[IngestSession.id], set_=told))

    def _at_once(self) -> AsyncConnection:
        """A connection on which each statement is a transaction: one round trip in the place of three."""
        return self._database.engine.execution_options(isolation_level="AUTOCOMMIT").connect()


async def _repeat(step: Callable[[], Awaitable[None]]) -> None:
    """Take a step again and again; of one that fails it is said once, until it succeeds."""
    failing = False
    while True:
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - whatever it is: alerts waits for this session, and consumption goes on
            if not failing:
                log.warning("rounds_not_attended", error=repr(error))
            failing = True
        else:
            failing = False
        await asyncio.sleep(LOOK_EVERY_S)
