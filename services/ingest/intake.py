"""Takes messages off ingest's queue in bulk: a function call for each, and acknowledgements together.

A handler a message, as FastStream has it, costs as much time as all the rest of ingest when messages are small (ADR
0009). It consumes on a connection of its own: one that publishes is held back by a broker that is short of memory, and
must not hold back the acknowledgements.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiormq

from services.ingest.database_time import DatabaseTime
from services.ingest.rounds import Attendance
from services.ingest.session import Begin, Session
from services.ingest.window import Window
from shared import topology
from shared.amqp_tolerance import tolerate_odd_messages
from shared.broker import (
    RETRY_S,
    START_TIMEOUT_S,
    UNREACHABLE,
    BrokerNotReadyError,
    broker_may_be_away,
    declare_topology,
)
from shared.broker_connection import ANSWER_S, with_heartbeat
from shared.logs import get_logger
from shared.service_database import ServiceDatabase

log = get_logger(__name__)


class Intake:
    """Consumes `queue` while `running()` lasts, whatever becomes of the broker meanwhile.

    Whenever it begins, it declares `declared`, and waits for `database`. At most as many messages are in hand as
    `window` says.
    """

    def __init__(
        self,
        url: str,
        database: ServiceDatabase,
        time: DatabaseTime,
        *,
        queue: topology.Queue,
        declared: Sequence[topology.Queue],
        window: Window,
        grace_s: float,
    ) -> None:
        tolerate_odd_messages()
        self._url = with_heartbeat(url)
        self._database = database
        self._time = time
        self._queue = queue
        self._declared = declared
        self._window = window
        self._grace_s = grace_s
        self._session: Session | None = None
        self._stopping = asyncio.Event()

    async def check(self) -> None:
        """A readiness check: raises `BrokerNotReadyError` unless messages can come."""
        if self._session is None or not self._session.consuming:
            raise BrokerNotReadyError("not consuming")

    @asynccontextmanager
    async def running(self, begin: Begin) -> AsyncIterator[None]:
        """`begin` with each message; at the end let what is in hand be dealt with, for `grace_s` seconds."""
        self._stopping.clear()
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(self._consume(begin), name="intake")
            try:
                yield
            finally:
                self._stopping.set()
                if self._session is None:
                    consuming.cancel()

    async def _consume(self, begin: Begin) -> None:
        while not self._stopping.is_set():
            try:
                with broker_may_be_away():
                    await self._consume_once(begin)
                if not self._stopping.is_set():
                    log.warning("consumption_lost", queue=self._queue.name)
            except UNREACHABLE as error:
                log.warning("broker_unreachable", error=repr(error), retry_in_s=RETRY_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RETRY_S)

    async def _consume_once(self, begin: Begin) -> None:
        """Consume until that ends, by itself or because it is to stop."""
        async with asyncio.timeout(START_TIMEOUT_S):
            await declare_topology(self._url, self._declared, ())
            connection = await aiormq.connect(self._url)
        try:
            self._window.forget()
            async with asyncio.timeout(START_TIMEOUT_S):
                channel = await connection.channel(publisher_confirms=False)
                if not isinstance(channel, aiormq.Channel):
                    raise TypeError(f"aiormq made a {type(channel)}")
                session = Session(channel, self._queue.name, self._window, begin)
                await channel.queue_declare(topology.session_queue(session.id), exclusive=True)
            attendance = Attendance(self._database, self._time, session)
            await attendance.enter()
            async with asyncio.timeout(START_TIMEOUT_S):
                await session.start()
            self._session = session
            log.info("consuming", queue=self._queue.name)
            leaves_nothing = False
            try:
                async with attendance.lasting():
                    await session.last(self._stopping)
                    if self._stopping.is_set():
                        leaves_nothing = await session.drain(self._grace_s)
            finally:
                self._session = None
                session.give_up()
            if leaves_nothing:
                await attendance.leave()
        finally:
            with suppress(Exception):  # it is not used any more, and may be closed already
                async with asyncio.timeout(ANSWER_S):
                    await connection.close()
