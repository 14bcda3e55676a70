"""`GET /changes` while several writers commit at once: nothing is left out, and nothing is told twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from random import Random

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest import operations
from services.ingest.batches import Stored, tell_feed
from services.ingest.operations import Memory
from shared.database import open_engine
from tests.services.query.feed import NOW, Walk, message, readings_of, stored
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

WRITERS = 4
COMMITS = 12


class Gate:
    """Holds the first commit that comes, right before or right after it has its place in the feed."""

    def __init__(self, *, before: bool) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self._before = before

    async def tell(self, connection: AsyncConnection, batches: Sequence[Stored]) -> None:
        is_first = not self.reached.is_set()
        if self._before and is_first:
            await self._wait()
        await tell_feed(connection, batches)
        if not self._before and is_first:
            await self._wait()

    async def _wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
async def memory(engine: AsyncEngine, building: Building) -> Memory:
    """One that has stored something: chunk and gateway are there, and commits wait for nothing but the feed."""
    memory = Memory()
    await stored(engine, message(building, [(2, 0, 0.0)]), memory=memory)
    return memory


async def test_what_was_written_first_and_committed_last_comes_last(
    *,
    client: httpx2.AsyncClient,
    engine: AsyncEngine,
    headers: Headers,
    monkeypatch: pytest.MonkeyPatch,
    building: Building,
    memory: Memory,
) -> None:
    walk = Walk(client, headers(building.tenant_id))
    gate = Gate(before=True)
    monkeypatch.setattr(operations, "tell_feed", gate.tell)
    first = asyncio.create_task(stored(engine, message(building, [(0, 0, 1.0)]), memory=memory))
    await gate.reached.wait()
    # Received earlier, and with a greater number.
    await stored(engine, message(building, [(1, 0, 2.0)], received_at=NOW - timedelta(hours=1)), memory=memory)
    assert [value for _, value in (await walk.to_the_end()).told] == [0.0, 2.0]
    gate.opened.set()
    await first
    assert [value for _, value in (await walk.to_the_end()).told] == [0.0, 2.0, 1.0]
    async with engine.connect() as connection:
        _, *batches = (await connection.scalars(text("SELECT batch FROM change_batch ORDER BY position"))).all()
        assert batches == sorted(batches, reverse=True)


async def test_nobody_has_a_place_in_the_feed_before_the_one_before_it_can_be_seen(
    *,
    client: httpx2.AsyncClient,
    engine: AsyncEngine,
    headers: Headers,
    monkeypatch: pytest.MonkeyPatch,
    building: Building,
    memory: Memory,
) -> None:
    walk = Walk(client, headers(building.tenant_id))
    gate = Gate(before=False)
    monkeypatch.setattr(operations, "tell_feed", gate.tell)
    first = asyncio.create_task(stored(engine, message(building, [(0, 0, 1.0)]), memory=memory))
    await gate.reached.wait()
    second = asyncio.create_task(stored(engine, message(building, [(1, 0, 2.0)]), memory=memory))

    async def one_waits() -> bool:
        async with engine.connect() as connection:
            waiting = text("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return bool(await connection.scalar(waiting))

    await eventually(one_waits)
    assert [value for _, value in (await walk.to_the_end()).told] == [0.0]
    gate.opened.set()
    await asyncio.gather(first, second)
    assert [value for _, value in (await walk.to_the_end()).told] == [0.0, 1.0, 2.0]


async def test_a_writer_that_freezes_before_its_commit_stops_the_others_for_seconds_only(
    *,
    client: httpx2.AsyncClient,
    engine: AsyncEngine,
    headers: Headers,
    monkeypatch: pytest.MonkeyPatch,
    building: Building,
    memory: Memory,
) -> None:
    gate = Gate(before=False)
    monkeypatch.setattr(operations, "tell_feed", gate.tell)
    frozen = asyncio.create_task(stored(engine, message(building, [(0, 0, 1.0)]), memory=memory))
    await gate.reached.wait()
    async with asyncio.timeout(15):  # the server ends it after 5; by the settings of a service it would after 20
        await stored(engine, message(building, [(1, 0, 2.0)]), memory=memory)
    gate.opened.set()
    with pytest.raises(DBAPIError):
        await frozen
    walk = await Walk(client, headers(building.tenant_id)).to_the_end()
    assert [value for _, value in walk.told] == [0.0, 2.0]


async def test_walks_among_many_writers_tell_all_and_each_change_once(
    client: httpx2.AsyncClient, engine: AsyncEngine, database: Database, headers: Headers
) -> None:
    buildings = [await create_building(engine, meters=5) for _ in range(2)]
    written = asyncio.Event()

    async def write(writer: int) -> None:
        random, memory = Random(writer), Memory()
        async with open_engine(database.ingest_url, application_name="mbus-tests", of_service=True) as own:
            for number in range(COMMITS):
                # What several write, they correct in turns: all values are different.
                messages = [
                    message(
                        building,
                        [(n % 5, random.randrange(60), writer * 1e6 + number * 1e3 + n) for n in range(20)],
                        received_at=NOW - timedelta(seconds=random.randrange(3600)),
                    )
                    for building in buildings
                ]
                await stored(own, *messages, memory=memory)

    async def follow(walk: Walk) -> Walk:
        while not written.is_set():
            await walk.page()
        return await walk.to_the_end()

    async def write_all() -> None:
        await asyncio.gather(*map(write, range(WRITERS)))
        written.set()

    walks = [
        (building, Walk(client, headers(building.tenant_id), limit)) for building in buildings for limit in (1, 7, 1000)
    ]
    await asyncio.gather(write_all(), *(follow(walk) for _, walk in walks))
    for building, walk in walks:
        expected = await readings_of(engine, building)
        assert walk.copy == expected
        assert [what for what, times in Counter(walk.told).items() if times > 1] == []
        # And whoever comes late is told each reading once, as it is.
        late = await Walk(client, headers(building.tenant_id), walk.limit).to_the_end()
        assert late.copy == expected
        assert len(late.told) == len(expected)
