"""Several ingests share the queue, some of which die."""

import asyncio

import pytest

from tests.faults.books import Books
from tests.faults.conftest import MakeIngest
from tests.faults.sending import Fleet
from tests.support.wire import Moment

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("how_many", [pytest.param(2, marks=pytest.mark.quick), 4])
async def test_the_same_readings_come_to_all_of_them(
    how_many: int, make_ingest: MakeIngest, fleet: Fleet, books: Books
) -> None:
    batches = fleet.batches(25)
    # A few each at a time, so that all get some.
    ingests = [await make_ingest(prefetch=5) for _ in range(how_many)]
    await books.send(*batches, *batches, fleet.spoilt())
    await asyncio.gather(*(ingest.start() for ingest in ingests))
    await books.send(*fleet.batches(25), *batches)
    await books.send(*map(fleet.correction, batches))
    await books.balance(*ingests)


async def test_one_of_four_is_killed_again_and_again(make_ingest: MakeIngest, fleet: Fleet, books: Books) -> None:
    dying, *others = [await make_ingest(prefetch=5) for _ in range(4)]
    killed = dying.kill_at(Moment.AFTER_COMMIT, times=3)
    for ingest in others:
        await ingest.start()
    async with dying.kept_alive(), books.streaming(fleet):
        await asyncio.wait_for(killed.wait(), 60)
    await books.balance(dying, *others)
