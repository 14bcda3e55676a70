"""An ingest that is killed with messages in hand leaves its row, and the broker says that its connection is gone."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.ingest_queue import IngestQueue
from shared.models import IngestSession
from tests.faults.books import Books
from tests.faults.conftest import MakeIngest
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet
from tests.support.messages import eventually
from tests.support.vhosts import Vhost

pytestmark = pytest.mark.faults


@pytest.fixture
async def queue(vhost: Vhost) -> AsyncIterator[IngestQueue]:
    """What alerts sees of ingest on the broker."""
    queue = IngestQueue(vhost.alerts_url)
    yield queue
    await queue.close()


async def sessions(engine: AsyncEngine) -> list[UUID]:
    async with engine.connect() as connection:
        return list(await connection.scalars(select(IngestSession.id).order_by(IngestSession.started_at)))


async def begun(engine: AsyncEngine, queue: IngestQueue, number: int) -> UUID:
    """Wait until so many sessions have begun, and the newest consumes."""

    async def have() -> bool:
        return len(await sessions(engine)) == number and (await queue.look()).consumers > 0

    await eventually(have, timeout_s=30)
    return (await sessions(engine))[-1]


@pytest.mark.quick
async def test_killed_with_messages_in_hand(
    engine: AsyncEngine, queue: IngestQueue, ingest: Ingest, fleet: Fleet, books: Books
) -> None:
    async def all_taken() -> bool:
        return (await queue.look()).waiting == 0

    async def dead_and_all_back() -> bool:
        return not await queue.is_alive(killed) and (await queue.look()).waiting == 2

    await ingest.start()
    killed = await begun(engine, queue, 1)
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE"))
        await books.send(*fleet.batches(2))
        await eventually(all_taken)
        assert await queue.is_alive(killed)
        ingest.kill()
        assert await ingest.ended() == -9
    await eventually(dead_and_all_back)
    assert await sessions(engine) == [killed]

    await ingest.start()
    next_one = await begun(engine, queue, 2)
    assert await queue.is_alive(next_one)
    await books.balance(ingest)
    # Those who end in order take their own row away, and nobody else's.
    assert await sessions(engine) == [killed]


async def test_of_several_processes_the_one_that_is_frozen_is_alive_as_long_as_the_broker_waits_for_it(
    engine: AsyncEngine, queue: IngestQueue, make_ingest: MakeIngest, fleet: Fleet, books: Books
) -> None:
    heartbeat_s = 4
    ingest, frozen = await make_ingest(), await make_ingest(heartbeat_s=heartbeat_s)
    await frozen.start()
    session = await begun(engine, queue, 1)
    await ingest.start()
    await begun(engine, queue, 2)
    frozen.broker.freeze()
    assert await queue.is_alive(session)

    async def is_dead() -> bool:
        return not await queue.is_alive(session)

    await eventually(is_dead, timeout_s=10 * heartbeat_s)
    frozen.kill()
    await books.send(*fleet.batches(2))
    await books.balance(ingest)
    assert session in await sessions(engine)
