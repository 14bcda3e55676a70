"""Ingest is killed with -9 at every point between taking a message and acknowledging it."""

import asyncio

import pytest

from tests.faults.books import Books
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet
from tests.support.wire import Moment

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(
    "moment",
    [pytest.param(it, id=it.name, marks=pytest.mark.quick if it is Moment.AFTER_COMMIT else ()) for it in Moment],
)
async def test_killed_at(moment: Moment, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    killed = ingest.kill_at(moment)
    await books.send(*fleet.batches(10), fleet.spoilt(), fleet.no_message(), fleet.of_nobody(), fleet.of_another())
    await ingest.start()
    await asyncio.wait_for(killed.wait(), 30)
    assert await ingest.ended() == -9
    await ingest.start()
    await books.balance(ingest)
