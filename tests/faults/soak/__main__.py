"""A soak: gateways send readings for as long as asked, everything breaks as chance has it, and a ledger at the end.

    python -m tests.faults.soak --minutes 10 --seed 7

On servers as for the tests (`MBUS_TEST_SERVERS`), in a database and a virtual host of its own. Exit code 0 when every
reading is where it belongs.
"""

import argparse
import asyncio
import logging
import random
import secrets
import sys
import tempfile
import time
import warnings
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away
from shared.database import open_engine
from shared.messages.readings_stored import decode
from shared.service_database import DATABASE_FAILURES
from tests.faults.draining import drain, waiting
from tests.faults.processes import Ingest
from tests.faults.publishing import Publisher
from tests.faults.soak.content import METERS, READINGS, Content
from tests.faults.soak.disasters import Disasters
from tests.faults.soak.ledger import Seen, compare
from tests.support.databases import migrated_database
from tests.support.messages import open_channel, writes_stamps
from tests.support.registry import create_building
from tests.support.servers import Servers, running_servers
from tests.support.vhosts import Vhost, prepared_vhost

GATEWAYS = 4
AT_ONCE = 20
"""Messages that are published, and confirmed, before the next."""
AT_LEAST = 1_000_000
AT_MOST = 10
"""Times that: a soak of many hours sends more slowly, and fills no disk."""
BACKLOG = 400
"""With more messages in the queue gateways wait, so that it does not grow without bound."""
AGAIN = 0.05
"""How many of the messages are sent twice, and as many corrected."""
PROGRESS_S = 10
DRAINED_WITHIN_S = 600


@dataclass
class Soak:
    """What is under way."""

    content: Content
    vhost: Vhost
    chance: random.Random
    publisher: Publisher
    lasts_s: float
    readings_at_least: int
    began: float = field(default_factory=time.monotonic)
    messages: int = 0
    corrected: set[int] = field(default_factory=set)
    seen: Seen = field(default_factory=Seen)
    most_memory: int = 0

    def tell(self, what: str) -> None:
        """Print a line with the time."""
        print(f"{self.elapsed:7.1f} s  {what}", flush=True)

    @property
    def enough(self) -> bool:
        """Whether it has lasted long enough, and enough was sent."""
        return self.elapsed > self.lasts_s and self.messages * READINGS >= self.readings_at_least

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self.began

    async def ahead(self) -> bool:
        """Whether gateways wait: too much lies in the queue, or too much was sent for so early a time."""
        if self.messages * READINGS / self.readings_at_least > AT_MOST * self.elapsed / self.lasts_s + 1:
            return True
        return ((await waiting(self.vhost.url)) or 0) > BACKLOG

    async def send(self) -> None:
        """Send message after message, some twice, and correct some of what was confirmed before."""
        while not self.enough:
            while await self.ahead():  # noqa: ASYNC110 - the broker tells of nothing
                await asyncio.sleep(0.5)
            numbers = range(self.messages, self.messages + AT_ONCE)
            sent = [message for number in numbers for message in self.content.around(number)]
            sent += [self.content.message(n) for n in numbers if self.chance.random() < AGAIN]
            await self.publisher.publish(sent)
            self.messages += AT_ONCE
            # A correction that the broker accepts in the same millisecond as the original is none.
            await asyncio.sleep(0.01)
            corrected = [n for n in numbers if self.chance.random() < AGAIN]
            await self.publisher.publish([self.content.message(n, corrected=True) for n in corrected])
            self.corrected.update(corrected)

    async def hear(self, queue: str) -> None:
        """Take events and dead letters as they come, until cancelled."""
        while True:
            try:
                with broker_may_be_away():
                    await self.hear_all(queue)
            except UNREACHABLE:
                pass
            await asyncio.sleep(1)

    async def hear_all(self, queue: str) -> None:
        """Take what is there of events and dead letters; nobody wants those for alerts."""
        async with asyncio.timeout(60), open_channel(self.vhost.url) as channel:
            await (await channel.get_queue(topology.ALERTS_READINGS_STORED)).purge()
            for name in (queue, topology.DEAD_LETTERS):
                source = await channel.get_queue(name)
                while (message := await source.get(fail=False)) is not None:
                    if name == queue:
                        self.seen.hear(decode(message.body).data)
                    else:
                        self.seen.dead_letters[message.body] += 1
                    await message.ack()

    async def report(self, engine: AsyncEngine, disasters: Disasters, ingests: list[Ingest]) -> None:
        """Tell every few seconds how far it is, until cancelled."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            self.most_memory = max(self.most_memory, *(memory_of(ingest) for ingest in ingests))
            try:
                async with engine.connect() as connection:
                    stored = f"{await connection.scalar(text('SELECT count(*) FROM reading')):,}"
            except DATABASE_FAILURES:
                stored = "nobody knows how many"
            self.tell(
                f"    {self.messages * READINGS:,} readings sent, {stored} stored,"
                f" {await waiting(self.vhost.url)} messages wait,"
                f" {disasters.struck} disasters, {sum(it.deaths for it in ingests)} deaths"
            )


def memory_of(ingest: Ingest) -> int:
    """Bytes that it has resident; 0 when it does not run."""
    try:
        return 0 if ingest.pid is None else int(psutil.Process(ingest.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


async def soak(servers: Servers, *, seed: int, minutes: float, readings: int, processes: int) -> bool:
    """Run it; whether every reading is where it belongs."""
    session = secrets.token_hex(4)
    chance = random.Random(seed)
    async with AsyncExitStack() as open_:
        database = await open_.enter_async_context(migrated_database(servers.database_url, session))
        vhost = await open_.enter_async_context(prepared_vhost(servers, session))
        engine = await open_.enter_async_context(open_engine(database.owner_url, application_name="mbus-soak"))
        logs = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="mbus-soak-")))
        stamped = await writes_stamps(vhost.url)
        content = Content([await create_building(engine, meters=METERS) for _ in range(GATEWAYS)])
        under_way = Soak(
            content,
            vhost,
            chance,
            Publisher(vhost.url),
            lasts_s=minutes * 60,
            readings_at_least=readings,
        )
        events = f"soak-{session}"
        async with open_channel(vhost.url) as channel:
            queue = await channel.declare_queue(events, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(topology.EVENTS, "readings.stored.#")
        ingests = [
            await open_.enter_async_context(
                Ingest.open(database, vhost, log=logs / f"ingest-{n}", stamped=stamped, settings={})
            )
            for n in range(processes)
        ]
        disasters = Disasters(random.Random(seed), ingests, servers, engine, under_way.tell)
        async with asyncio.TaskGroup() as tasks:
            besides = [
                tasks.create_task(under_way.hear(events)),
                tasks.create_task(under_way.report(engine, disasters, ingests)),
            ]
            async with AsyncExitStack() as alive:
                for ingest in ingests:
                    await alive.enter_async_context(ingest.kept_alive())
                striking = tasks.create_task(disasters.strike_while(lambda: not under_way.enough))
                await under_way.send()
                await striking
            under_way.tell("all is sent, and all disasters are over")
            async with asyncio.timeout(DRAINED_WITHIN_S):
                await drain(vhost.url, ingests)
            under_way.tell("all is consumed, and every ingest has ended in order")
            for task in besides:
                task.cancel()
        await under_way.hear_all(events)
        problems = await compare(
            engine,
            content,
            under_way.seen,
            messages=under_way.messages,
            corrected=under_way.corrected,
            stamped=stamped,
        )
        under_way.tell(
            f"{under_way.messages * READINGS:,} readings, {len(under_way.corrected) * READINGS:,} of them corrected;"
            f" {disasters.struck} disasters, {sum(it.deaths for it in ingests)} deaths,"
            f" {under_way.publisher.not_confirmed} publishes not confirmed;"
            f" most memory of an ingest {under_way.most_memory / 2**20:.0f} MiB"
        )
        for problem in problems:
            under_way.tell(f"FAULT: {problem}")
        under_way.tell("every reading is where it belongs" if not problems else "not in order")
        return not problems


def main() -> None:
    """Read the command line, run, and exit."""
    options = argparse.ArgumentParser(description="Break everything around ingest, and look for every reading.")
    options.add_argument("--minutes", type=float, default=10, help="for how long (default: 10)")
    options.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="what chance begins with")
    options.add_argument("--readings", type=int, default=AT_LEAST, help=f"at least so many (default: {AT_LEAST:,})")
    options.add_argument("--processes", type=int, default=4, help="of ingest, at most (default: 4)")
    given = options.parse_args()
    # What the libraries say of a broker that is away, on purpose.
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="coroutine '.*Connection.close' was never awaited")
    print(f"make soak ARGS='--minutes {given.minutes:g} --seed {given.seed}'", flush=True)
    with running_servers() as servers:
        print(servers.origin, flush=True)
        in_order = asyncio.run(
            soak(
                servers,
                seed=given.seed,
                minutes=given.minutes,
                readings=given.readings,
                processes=given.processes,
            )
        )
    sys.exit(0 if in_order else 1)


if __name__ == "__main__":
    main()
