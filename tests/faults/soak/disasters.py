"""What happens to ingest and its servers in a soak, one thing after another, as chance has it."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.service_database import DATABASE_FAILURES
from tests.faults.processes import Ingest
from tests.support.servers import Servers
from tests.support.wire import Moment

PAUSE_S = (0.5, 3.0)
"""Between two of them."""
SELDOM = 0.1
"""The share of restarts of servers among them."""
FROZEN_S = (1.0, 8.0)
AT_REST_S = (2.0, 10.0)
AWAY_S = (0.0, 10.0)
AT_A_MOMENT_WITHIN_S = 5.0

END_CONNECTIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'mbus-ingest'
"""

Disaster = Callable[[], Awaitable[str]]


class Disasters:
    """Strikes one of `ingests` at a time, or one of the servers that may be stopped."""

    def __init__(
        self,
        chance: random.Random,
        ingests: list[Ingest],
        servers: Servers,
        engine: AsyncEngine,
        tell: Callable[[str], None],
    ) -> None:
        self.struck = 0
        self._chance = chance
        self._ingests = ingests
        self._servers = servers
        self._engine = engine
        self._tell = tell
        self._often: list[Disaster] = [
            self._kill,
            self._kill,
            self._kill_at_a_moment,
            self._kill_at_a_moment,
            self._kill_at_a_moment,
            self._ask_to_end,
            self._rest,
            self._cut_broker,
            self._cut_database,
            self._freeze,
            self._freeze,
            self._end_backends,
        ]
        self._seldom: list[Disaster] = []
        if servers.own_database is not None:
            self._seldom.append(self._restart_database)
        if servers.own_broker is not None:
            self._seldom.append(self._restart_broker)

    async def strike_while(self, going_on: Callable[[], bool]) -> None:
        """Strike again and again. Each is over before the next comes, and all at the end."""
        while going_on():
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            seldom = self._seldom and self._chance.random() < SELDOM
            disaster = self._chance.choice(self._seldom if seldom else self._often)
            self._tell(await disaster())
            self.struck += 1

    def _one(self) -> Ingest:
        return self._chance.choice(self._ingests)

    async def _kill(self) -> str:
        ingest = self._one()
        ingest.kill()
        return f"{ingest.log.stem} killed"

    async def _kill_at_a_moment(self) -> str:
        ingest, moment = self._one(), self._chance.choice(list(Moment))
        killed = ingest.kill_at(moment)
        try:
            await asyncio.wait_for(killed.wait(), AT_A_MOMENT_WITHIN_S)
        except TimeoutError:
            ingest.database.trap = ingest.broker.trap = None
            return f"{ingest.log.stem} came to no {moment.name}"
        return f"{ingest.log.stem} killed at {moment.name}"

    async def _ask_to_end(self) -> str:
        ingest = self._one()
        await ingest.ask_to_end()
        return f"{ingest.log.stem} asked to end"

    async def _rest(self) -> str:
        """Then there are fewer for a while."""
        ingest, seconds = self._one(), self._chance.uniform(*AT_REST_S)
        async with ingest.at_rest():
            await asyncio.sleep(seconds)
        return f"{ingest.log.stem} was not there for {seconds:.1f} s"

    async def _cut_broker(self) -> str:
        ingest = self._one()
        await ingest.broker.break_connections()
        return f"{ingest.log.stem} cut off from the broker"

    async def _cut_database(self) -> str:
        ingest = self._one()
        await ingest.database.break_connections()
        return f"{ingest.log.stem} cut off from the database"

    async def _freeze(self) -> str:
        ingest = self._one()
        way, to = self._chance.choice([(ingest.broker, "broker"), (ingest.database, "database")])
        seconds = self._chance.uniform(*FROZEN_S)
        way.freeze()
        await asyncio.sleep(seconds)
        way.thaw()
        return f"nothing came through between {ingest.log.stem} and the {to} for {seconds:.1f} s"

    async def _end_backends(self) -> str:
        try:
            async with self._engine.connect() as connection:
                ended = await connection.scalar(text(END_CONNECTIONS))
        except DATABASE_FAILURES:
            return "the database did not answer"
        return f"the database ended {ended} connections"

    async def _restart_database(self) -> str:
        assert self._servers.own_database is not None
        seconds = self._chance.uniform(*AWAY_S)
        await asyncio.to_thread(self._servers.own_database.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._servers.own_database.start)
        return f"the database was away for {seconds:.1f} s"

    async def _restart_broker(self) -> str:
        assert self._servers.own_broker is not None
        await asyncio.to_thread(self._servers.own_broker.stop)
        await asyncio.to_thread(self._servers.own_broker.start)
        return "the broker was restarted"
