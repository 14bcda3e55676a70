"""Messages that would trouble a lesser consumer: poison, wild times, duplicates, the wrong order, no queue."""

import random
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.books import Books
from tests.faults.conftest import MakeIngest
from tests.faults.processes import Ingest
from tests.faults.sending import NEWEST, Fleet, create_fleet

pytestmark = pytest.mark.faults

PREFETCH = 50


@pytest.mark.quick
async def test_nothing_but_poison_in_hand_and_then_good_messages(
    make_ingest: MakeIngest, fleet: Fleet, books: Books
) -> None:
    ingest = await make_ingest(prefetch=PREFETCH)
    await books.send(*(fleet.no_message() for _ in range(PREFETCH)))
    await books.send(*(fleet.of_nobody() for _ in range(PREFETCH)))
    await books.send(*fleet.batches(10))
    await ingest.start()
    await books.balance(ingest)


async def test_one_bad_reading_in_ten_thousand(ingest: Ingest, fleet: Fleet, books: Books) -> None:
    await books.send(fleet.batch(5_000), fleet.one_bad(among=9_999), fleet.batch(5_000))
    await ingest.start()
    found = await books.balance(ingest)
    assert len(found.readings) == 19_999
    assert len(found.quarantined) == 1


@pytest.mark.quick
async def test_weekly_times_over_thirty_years_in_one_message(
    engine: AsyncEngine, ingest: Ingest, books: Books, chance: random.Random
) -> None:
    old = await create_fleet(engine, chance, installed_at=NEWEST - timedelta(days=30 * 365))
    times = (NEWEST - timedelta(weeks=n) for n in range(30 * 52))
    await books.send(old.at(times), *old.batches(3))
    await ingest.start()
    assert len((await books.balance(ingest)).readings) > 1_500


async def test_messages_that_no_queue_takes(ingest: Ingest, fleet: Fleet, books: Books) -> None:
    await books.send(*(fleet.unroutable() for _ in range(5)), *fleet.batches(5))
    await ingest.start()
    await books.balance(ingest)


@pytest.mark.quick
async def test_a_duplicate_of_everything(ingest: Ingest, fleet: Fleet, books: Books) -> None:
    everything = [*fleet.batches(20), *(fleet.spoilt() for _ in range(5)), *(fleet.no_message() for _ in range(5))]
    await books.send(*everything, *everything)
    await ingest.start()
    await books.send(*everything)
    found = await books.balance(ingest)
    assert not found.corrections
    assert set(found.quarantined.values()) == {3}


async def test_corrections_of_everything(ingest: Ingest, fleet: Fleet, books: Books) -> None:
    batches = fleet.batches(20)
    await books.send(*batches)
    await ingest.start()
    await books.stored(*batches)  # in one commit with its original, a correction would find nothing to correct
    await books.send(*map(fleet.correction, batches))
    found = await books.balance(ingest)
    assert len(found.corrections) == len(found.readings)


async def test_out_of_order(ingest: Ingest, fleet: Fleet, books: Books) -> None:
    batches = fleet.batches(40)
    fleet.chance.shuffle(batches)
    await books.send(*batches[:20])
    await ingest.start()
    await books.send(*batches[20:])
    await books.balance(ingest)
