"""Ingest as a process that a test starts and kills, with ways of its own to the servers."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM

from shared.broker_connection import HEARTBEAT_S
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost
from tests.support.wire import AmqpWire, Moment, PostgresWire

ROOT = Path(__file__).parents[2]
STOP_WITHIN_S = 25
"""Ingest's own grace period is 15 s."""


class Ingest:
    """One ingest. Its ways to the database and to the broker can be watched, cut and frozen."""

    def __init__(
        self, database: TcpProxy, broker: TcpProxy, log: Path, settings: dict[str, object], heartbeat_s: int
    ) -> None:
        self.database = database
        self.broker = broker
        self.log = log
        self.deaths = 0
        self._settings = settings
        self._heartbeat_s = heartbeat_s
        self._process: asyncio.subprocess.Process | None = None
        self._log_starts_at = 0
        self._killed = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._asked_to_end_with: int | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database: Database,
        vhost: Vhost,
        *,
        log: Path,
        stamped: bool,
        heartbeat_s: int = HEARTBEAT_S,
        settings: dict[str, object],
    ) -> AsyncIterator["Ingest"]:
        """An ingest that is not started yet; killed at the end if it still runs. Its ways are without TLS."""
        to_database = TcpProxy(f"{database.ingest_url}?sslmode=disable", PostgresWire)
        async with to_database.open(), TcpProxy(vhost.ingest_url, AmqpWire).open() as to_broker:
            ingest = cls(to_database, to_broker, log, {"trust_broker_stamps": stamped} | settings, heartbeat_s)
            try:
                yield ingest
            finally:
                ingest.kill()
                await ingest.ended()

    async def start(self) -> None:
        """Start it; what follows shows when it is at work."""
        variables = {
            "database_url": self.database.url,
            "broker_url": f"{self.broker.url}?heartbeat={self._heartbeat_s}",
            "port": 0,
        } | self._settings
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MBUS_")}
        self._log_starts_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "services.ingest"),
                cwd=ROOT,
                env=environment | {f"MBUS_INGEST_{name.upper()}": str(value) for name, value in variables.items()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._killed = False
        self._asked_to_end_with = None

    @property
    def pid(self) -> int | None:
        """Its number, where it runs."""
        return self._process.pid if self._process is not None and self.runs else None

    @property
    def runs(self) -> bool:
        """Whether it was started, and has neither ended nor been killed."""
        return self._process is not None and self._process.returncode is None and not self._killed

    def kill(self) -> None:
        """Kill it with -9, now."""
        if self._process is not None and self.runs:
            self._process.send_signal(SIGKILL)
            self._killed = True
            self._asked_to_end_with = -SIGKILL
            self.deaths += 1

    async def ended(self) -> int | None:
        """Wait until it has ended; its exit code."""
        return None if self._process is None else await self._process.wait()

    def kill_at(self, moment: Moment, *, times: int = 1, seeing: bytes = b"") -> asyncio.Event:
        """Kill it at the next `times` such moments, at which a message has the bytes `seeing`. Set when it is done.

        What was about to be passed on is not.
        """

        def kill() -> bool:
            self.kill()
            return True

        return self._at(moment, kill, times=times, seeing=seeing)

    def forget_at(self, moment: Moment) -> asyncio.Event:
        """At the next such moment let nothing pass any more by the connections of that way. Set when it is done."""

        def forget() -> bool:
            self._way_of(moment).forget()
            return False

        return self._at(moment, forget)

    def _at(self, moment: Moment, do: Callable[[], bool], *, times: int = 1, seeing: bytes = b"") -> asyncio.Event:
        done = asyncio.Event()
        way = self._way_of(moment)
        left = times

        def trap(seen: Moment | None, message: bytes) -> bool:
            nonlocal left
            if seen is not moment or seeing not in message:
                return False
            left -= 1
            if not left:
                way.trap = None
                done.set()
            return do()

        way.trap = trap
        return done

    def _way_of(self, moment: Moment) -> TcpProxy:
        return self.broker if moment in ON_THE_WAY_TO_THE_BROKER else self.database

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Start it, and start it again whenever it was killed or asked to end, until the block ends; then it runs."""
        over = asyncio.Event()

        async def keep() -> None:
            ending = asyncio.create_task(over.wait())
            while not over.is_set():
                await self._wanted.wait()
                await self.start()
                ended = asyncio.create_task(self.ended())
                await asyncio.wait({ended, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not ended.cancel():
                    code = ended.result()
                    assert code == self._asked_to_end_with, f"ingest ended with {code}: {self.last_words()}"
            if not self.runs:
                await self.start()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep())
            try:
                yield
            finally:
                over.set()

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """Ask it to end, and if it is kept alive let it start again only when the block ends."""
        self._wanted.clear()
        await self.ask_to_end()
        try:
            yield
        finally:
            self._wanted.set()

    async def ask_to_end(self) -> None:
        """Send it SIGTERM, as soon as it hears signals."""
        await eventually(self._listens_or_has_ended)
        if self._process is not None and self.runs:
            self._process.send_signal(SIGTERM)
            self._asked_to_end_with = 0

    async def stop(self) -> None:
        """Ask it to end, and see that it does so in order and in time."""
        assert self._process is not None
        await self.ask_to_end()
        try:
            code = await asyncio.wait_for(self._process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            raise AssertionError(f"ingest does not end: {self.last_words()}") from None
        assert code == 0, f"ingest ended with {code}: {self.last_words()}"

    async def _listens_or_has_ended(self) -> bool:
        return not self.runs or b"http.listening" in self.log.read_bytes()[self._log_starts_at :]

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


ON_THE_WAY_TO_THE_BROKER = {
    Moment.BEFORE_EVENT,
    Moment.BEFORE_DEAD_LETTER,
    Moment.AFTER_PUBLISH,
    Moment.BEFORE_ACK,
}
