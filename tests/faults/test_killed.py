"""Ingest is killed with -9 at every point between taking a message and acknowledging it."""

import asyncio
import struct

import pytest

from shared import topology
from shared.broker_admin import BrokerAdmin
from tests.faults.books import Books
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet
from tests.support.messages import eventually, queue_length
from tests.support.vhosts import Vhost
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


async def test_twenty_times_with_the_same_messages_in_hand(ingest: Ingest, fleet: Fleet, books: Books) -> None:
    """No good message becomes a dead letter, whatever the count of its deliveries."""
    await books.send(*fleet.batches(10), fleet.spoilt())
    killed = ingest.kill_at(Moment.BEFORE_MERGE, times=20)
    async with ingest.kept_alive():
        await asyncio.wait_for(killed.wait(), 110)
    await books.balance(ingest)


async def test_a_message_that_kills_whoever_writes_it(vhost: Vhost, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    """The others get through all the same, and a policy puts it aside (docs/operations.md)."""
    before, after = fleet.batches(10), fleet.batches(10)
    killer = fleet.batch()
    await books.send(*before[:5], killer.as_dead_letter(), *before[5:])
    killed = ingest.kill_at(Moment.IN_COPY, times=1000, seeing=struct.pack(">d", killer.accepted[0][1]))
    async with ingest.kept_alive():
        for batch in before:
            await books.stored(batch, within_s=60)
        await books.send(*after)
        for batch in after:
            await books.stored(batch, within_s=60)
        # What is left comes back at each death.
        await eventually(lambda: holds_one(vhost, topology.INGEST_READINGS), timeout_s=60)
        assert not killed.is_set()
        assert ingest.deaths >= 3
        async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
            await put_aside_after(admin, 6)
            try:
                await eventually(lambda: holds_one(vhost, topology.DEAD_LETTERS), timeout_s=60)
            finally:
                await put_aside_after(admin, topology.DELIVERY_LIMIT)
    await books.balance(ingest)


async def put_aside_after(admin: BrokerAdmin, times: int) -> None:
    """Let the broker put aside what came back more often."""
    await admin.put_policy(
        "delivery-limit",
        pattern=f"^{topology.INGEST_READINGS}$",
        apply_to="queues",
        definition={"delivery-limit": times},
    )


async def holds_one(vhost: Vhost, queue: str) -> bool:
    return await queue_length(vhost.url, queue) == 1
