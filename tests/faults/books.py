"""Sends messages until the broker has confirmed them, and looks afterwards where all that they said has gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away
from shared.messages.readings_stored import decode
from shared.service_database import DATABASE_FAILURES
from tests.faults.ledger import Correction, Found, Refused, Sent, Told, faults
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet
from tests.support.messages import open_channel
from tests.support.vhosts import Vhost

AT_ONCE = 100
CONFIRM_WITHIN_S = 5.0
RETRY_S = 0.2
LOOK_EVERY_S = 0.2
STREAM_EVERY_S = 0.1


class Books:
    """All that was sent, and the ledger of it."""

    def __init__(self, engine: AsyncEngine, vhost: Vhost, *, stamped: bool) -> None:
        self.sent: list[Sent] = []
        self.not_confirmed = 0
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
        """Publish as gateways do: again and again, until the broker has confirmed it."""
        left = list(messages)
        async with asyncio.timeout(within_s):
            while left:
                left = await self._try(left)
        self.sent += messages

    async def not_confirmed_any_more(self) -> None:
        """Wait until the broker confirms nothing."""
        before = self.not_confirmed
        async with asyncio.timeout(30):
            while self.not_confirmed == before:  # noqa: ASYNC110 - as below
                await asyncio.sleep(LOOK_EVERY_S)

    async def _try(self, messages: Sequence[Sent]) -> list[Sent]:
        """Publish each once; returns those that were not confirmed."""
        connection: AbstractConnection | None = None
        left = list(messages)
        try:
            with broker_may_be_away():
                async with asyncio.timeout(CONFIRM_WITHIN_S):
                    connection = await aio_pika.connect(self._vhost.url)
                    exchange = await (await connection.channel()).get_exchange(topology.GATEWAYS)
                while left:
                    confirmed = await asyncio.gather(*(self._confirmed(exchange, it) for it in left[:AT_ONCE]))
                    missing = [it for it, done in zip(left[:AT_ONCE], confirmed, strict=True) if not done]
                    left[:AT_ONCE] = missing
                    if missing:
                        break
        except UNREACHABLE:
            pass
        finally:
            if connection is not None:
                await _close(connection)
        if left:
            await asyncio.sleep(RETRY_S)
        return left

    async def _confirmed(self, exchange: AbstractExchange, message: Sent) -> bool:
        try:
            with broker_may_be_away():
                async with asyncio.timeout(CONFIRM_WITHIN_S):
                    await exchange.publish(
                        aio_pika.Message(message.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                        message.routing_key,
                    )
        except UNREACHABLE:
            self.not_confirmed += 1
            return False
        return True

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
        """Wait until a reading of the last of `messages` is in the database."""
        (meter, time), _ = messages[-1].accepted[-1]
        query = text('SELECT count(*) FROM reading WHERE meter_installation_id = :meter AND "timestamp" = :time')
        async with asyncio.timeout(within_s):
            while not await self._asked(query, {"meter": meter, "time": time}):  # noqa: ASYNC110 - as below
                await asyncio.sleep(LOOK_EVERY_S)

    async def _asked(self, query: TextClause, values: dict[str, object]) -> int:
        """What the database says; 0 where it is away."""
        try:
            async with self._engine.connect() as connection:
                return int(await connection.scalar(query, values) or 0)
        except DATABASE_FAILURES:
            return 0

    async def consumed(self, *, within_s: float = 60) -> None:
        """Wait until nothing lies in the queue any more; some may be in hand."""
        async with asyncio.timeout(within_s):
            while await self._waiting() != 0:  # noqa: ASYNC110 - what is awaited happens in another process
                await asyncio.sleep(LOOK_EVERY_S)

    async def balance(self, *ingests: Ingest, within_s: float = 60) -> Found:
        """Let them consume all, stop them, and find every reading where it belongs: none lost, none twice, all told."""
        problems = ["the queue was never empty"]
        found = Found()
        async with asyncio.timeout(within_s):
            while True:
                await self.consumed(within_s=within_s)
                for ingest in ingests:
                    await ingest.stop()
                if await self._waiting() == 0:
                    found = await self._find()
                    problems = faults(self.sent, found, stamped=self._stamped)
                    if not problems or await self._waiting() == 0:
                        break
                # Not acknowledged yet when they stopped: it came back.
                for ingest in ingests:
                    await ingest.start()
        assert not problems, "\n".join(problems)
        return found

    async def _waiting(self) -> int | None:
        """How many messages are ready in ingest's queue; None where the broker does not tell."""
        try:
            with broker_may_be_away():
                async with asyncio.timeout(CONFIRM_WITHIN_S), open_channel(self._vhost.url) as channel:
                    queue = await channel.declare_queue(topology.INGEST_READINGS, passive=True)
                    return queue.declaration_result.message_count
        except UNREACHABLE:
            return None

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
        return found

    async def _take_events(self, channel: AbstractChannel) -> None:
        async for body in _take_all(channel, self._events):
            for heard in decode(body).data.installations:
                before = self._told.get(heard.installation_id, Told(heard.timestamp, 0))
                self._told[heard.installation_id] = Told(
                    max(before.newest, heard.timestamp), before.readings + heard.count
                )


async def _take_all(channel: AbstractChannel, name: str) -> AsyncIterator[bytes]:
    queue = await channel.get_queue(name)
    while (message := await queue.get(fail=False)) is not None:
        yield message.body
        await message.ack()


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(1):
            await connection.close()
    except (*UNREACHABLE, asyncio.CancelledError):
        pass
