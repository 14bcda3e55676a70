"""Connections on which nothing comes any more, and which nobody closes: a cut cable, a forgetful firewall."""

import asyncio

import pytest

from tests.faults.books import Books
from tests.faults.conftest import MakeIngest
from tests.faults.sending import Fleet
from tests.support.wire import Moment

pytestmark = pytest.mark.faults

STARTED_WITHIN_S = 20
HEARTBEAT_S = 2
GIVEN_UP_WITHIN_S = 10 * HEARTBEAT_S
LOCKS_GONE_WITHIN_S = 60
"""The database keeps the locks of a transaction for 20 s of silence; of one that waited for these, 20 s more."""


async def test_to_the_broker(make_ingest: MakeIngest, fleet: Fleet, books: Books) -> None:
    ingest = await make_ingest(heartbeat_s=HEARTBEAT_S)
    await ingest.start()
    await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
    async with books.streaming(fleet):
        ingest.broker.forget()
        await books.get_through(fleet.batch(), within_s=GIVEN_UP_WITHIN_S)
    await books.balance(ingest)


async def test_to_the_broker_with_messages_in_hand_that_come_to_another(
    make_ingest: MakeIngest, fleet: Fleet, books: Books
) -> None:
    """The one who has lost the broker writes them all the same, while the other does."""
    one, other = await make_ingest(heartbeat_s=HEARTBEAT_S), await make_ingest()
    forgotten = one.forget_at(Moment.BEFORE_EVENT)
    await books.send(*fleet.batches(50), fleet.spoilt(), fleet.no_message())
    await one.start()
    await asyncio.wait_for(forgotten.wait(), STARTED_WITHIN_S)
    await other.start()
    await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
    await books.balance(one, other)


async def test_to_the_database_in_a_transaction_that_locks_what_another_writes(
    make_ingest: MakeIngest, fleet: Fleet, books: Books
) -> None:
    one, other = await make_ingest(prefetch=5), await make_ingest(prefetch=5)
    forgotten = one.forget_at(Moment.BEFORE_COMMIT)
    batches = fleet.batches(10)
    await books.send(*batches)
    await one.start()
    await asyncio.wait_for(forgotten.wait(), STARTED_WITHIN_S)
    one.kill()
    await other.start()
    await books.stored(*batches, within_s=LOCKS_GONE_WITHIN_S)
    await one.start()
    await books.balance(one, other)
