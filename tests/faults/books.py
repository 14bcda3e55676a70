"""Sends messages until the broker has confirmed them, and looks afterwards where all that they said has gone."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from secrets import token_hex
from uuid import UUID

from aio_pika.abc import AbstractChannel
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import topology
from shared.messages.readings_stored import decode
from shared.service_database import DATABASE_FAILURES
from tests.faults.draining import drain, waiting
from tests.faults.ledger import Correction, Found, Refused, Sent, Told, faults
from tests.faults.processes import Ingest
from tests.faults.publishing import Publisher
from tests.faults.sending import Fleet
from tests.support.messages import open_channel
from tests.support.vhosts import Vhost

FEED = text("SELECT * FROM changes(:tenant, NULL, :position, :stored_at, :id, :time, 1000)")

LOOK_EVERY_S = 0.2
STREAM_EVERY_S = 0.1


class Books:
    """All that was sent, and the ledger of it."""

    def __init__(self, engine: AsyncEngine, vhost: Vhost, *, stamped: bool) -> None:
        self.sent: list[Sent] = []
        self._publisher = Publisher(vhost.url)
        self._engine = engine
        self._vhost = vhost
        self._stamped = stamped
        self._events = f"fault-test-{token_hex(4)}"
        self._told: dict[UUID, Told] = {}
        self._dead_letters: Counter[bytes] = Counter()

    @classmethod
    @asynccontextmanager
    async def open(cls, engine: AsyncEngine, vhost: Vhost, *, stamped: bool) -> AsyncIterator["Books"]:
        """Hears every event from now on, in a queue of its own."""
        books = cls(engine, vhost, stamped=stamped)
        async with open_channel(vhost.url) as channel:
            queue = await channel.declare_queue(books._events, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(topology.EVENTS, "readings.stored.#")
        yield books
        async with open_channel(vhost.url) as channel:
            await channel.queue_delete(books._events)

    async def send(self, *messages: Sent, within_s: float = 60) -> None:
        """Publish until the broker has confirmed all of it."""
        async with asyncio.timeout(within_s):
            await self._publisher.publish(messages)
        self.sent += messages

    async def nothing_confirmed(self) -> None:
        """Wait until the broker confirms something no more."""
        before = self._publisher.not_confirmed
        async with asyncio.timeout(30):
            while self._publisher.not_confirmed == before:  # noqa: ASYNC110 - what is awaited happens elsewhere
                await asyncio.sleep(LOOK_EVERY_S)

    @asynccontextmanager
    async def streaming(self, fleet: Fleet) -> AsyncIterator[None]:
        """Send batches, now and then with bad readings among them, for as long as the block lasts."""
        ending = asyncio.Event()

        async def stream() -> None:
            while not ending.is_set():
                await self.send(*fleet.batches(5), fleet.spoilt(), fleet.no_message())
                await asyncio.sleep(STREAM_EVERY_S)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stream())
            yield
            ending.set()

    async def get_through(self, message: Sent, *, within_s: float) -> None:
        """Send a message, and see it stored in time."""
        await self.send(message)
        await self.stored(message, within_s=within_s)

    async def stored(self, *messages: Sent, within_s: float = 30) -> None:
        """Wait until a reading of each of `messages` is in the database: several writers store them in any order."""
        query = text('SELECT count(*) FROM reading WHERE meter_installation_id = :meter AND "timestamp" = :time')
        async with asyncio.timeout(within_s):
            for message in messages:
                (meter, time), _ = message.accepted[-1]
                while not await self._asked(query, {"meter": meter, "time": time}):  # noqa: ASYNC110 - the same
                    await asyncio.sleep(LOOK_EVERY_S)

    async def _asked(self, query: TextClause, values: dict[str, object]) -> int:
        """What the database says; 0 where it is away."""
        try:
            async with self._engine.connect() as connection:
                return int(await connection.scalar(query, values) or 0)
        except DATABASE_FAILURES:
            return 0

    async def balance(self, *ingests: Ingest, within_s: float = 60) -> Found:
        """Let them consume all, stop them, and find every reading where it belongs: none lost, none twice, all told."""
        async with asyncio.timeout(within_s):
            while True:
                await drain(self._vhost.url, ingests)
                found = await self._find()
                problems = faults(self.sent, found, stamped=self._stamped)
                if not problems or await waiting(self._vhost.url) == 0:
                    break
                # The broker had not noticed yet that somebody was gone, and what he had in hand came back late.
                for ingest in ingests:
                    await ingest.start()
        assert not problems, "\n".join(problems)
        return found

    async def _find(self) -> Found:
        async with open_channel(self._vhost.url) as channel:
            await self._take_events(channel)
            async for body in _take_all(channel, topology.DEAD_LETTERS):
                self._dead_letters[body] += 1
        found = Found(dead_letters=self._dead_letters, told=self._told)
        async with self._engine.connect() as connection:
            for row in await connection.execute(text("SELECT meter_installation_id, timestamp, value FROM reading")):
                found.readings[row.meter_installation_id, row.timestamp] = row.value
            for row in await connection.execute(text("SELECT * FROM reading_correction")):
                key = (row.meter_installation_id, row.timestamp)
                found.corrections.append(Correction(key, row.old_value, row.new_value))
            for row in await connection.execute(text("SELECT * FROM quarantined_reading")):
                found.quarantined[Refused(row.gateway_id, row.reason, row.original.decode())] = row.seen_count
            for tenant_id in (await connection.scalars(text("SELECT id FROM tenant"))).all():
                await _walk(connection, tenant_id, found)
        return found

    async def _take_events(self, channel: AbstractChannel) -> None:
        async for body in _take_all(channel, self._events):
            for heard in decode(body).data.installations:
                before = self._told.get(heard.installation_id, Told(heard.timestamp, 0))
                self._told[heard.installation_id] = Told(
                    max(before.newest, heard.timestamp), before.readings + heard.count
                )


async def _walk(connection: AsyncConnection, tenant_id: UUID, found: Found) -> None:
    """All that the feed of changes tells the tenant, page by page as query reads it."""
    place = {"position": 0, "stored_at": None, "id": None, "time": None}
    has_next = True
    while has_next:
        page = (await connection.execute(FEED, {"tenant": tenant_id, **place})).one()
        for item in json.loads(f"[{page.items}]"):
            key = (UUID(item["meter_installation_id"]), datetime.fromisoformat(item["timestamp"]))
            found.fed[key, item["value"]] += 1
        place = dict(zip(place, (page.next_position, page.next_stored_at, page.next_id, page.next_time), strict=True))
        has_next = page.has_next


async def _take_all(channel: AbstractChannel, name: str) -> AsyncIterator[bytes]:
    queue = await channel.get_queue(name)
    while (message := await queue.get(fail=False)) is not None:
        yield message.body
        await message.ack()
