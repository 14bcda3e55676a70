"""The broker goes away, comes back, takes no messages, or loses its queue, while gateways go on sending."""

import asyncio

import pytest
from aio_pika.exceptions import ChannelNotFoundEntity

from shared import topology
from tests.faults.books import Books
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet
from tests.support.messages import eventually, open_channel
from tests.support.own_servers import ENOUGH_MEMORY, TOO_LITTLE_MEMORY, OwnBroker
from tests.support.vhosts import Vhost

pytestmark = pytest.mark.faults

STARTED_WITHIN_S = 20
BACK_WITHIN_S = 15
DECLARED_AGAIN_WITHIN_S = 10


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.quick), 4])
async def test_the_connection_is_cut(times: int, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    await ingest.start()
    async with books.streaming(fleet):
        for _ in range(times):
            await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
            await ingest.broker.break_connections()
    await books.balance(ingest)


async def test_a_restart(own_broker: OwnBroker, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    await ingest.start()
    await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
    async with books.streaming(fleet):
        await asyncio.to_thread(own_broker.stop)
        await asyncio.to_thread(own_broker.start)
        await books.get_through(fleet.batch(), within_s=BACK_WITHIN_S)
    await books.balance(ingest)


async def test_no_memory_left(own_broker: OwnBroker, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    """Then it reads no more from whoever publishes; and ingest publishes on the connection on which it acknowledges."""
    await ingest.start()
    await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
    async with books.streaming(fleet):
        await asyncio.to_thread(own_broker.set_memory_limit, TOO_LITTLE_MEMORY)
        try:
            await books.nothing_confirmed()
        finally:
            await asyncio.to_thread(own_broker.set_memory_limit, ENOUGH_MEMORY)
        await books.get_through(fleet.batch(), within_s=BACK_WITHIN_S)
    await books.balance(ingest)


async def test_the_queue_is_deleted(vhost: Vhost, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    """What lay in it is gone; what is sent until it is declared again is kept among the dead letters."""
    await ingest.start()
    await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
    ingest.database.freeze()
    await books.send(*(it.if_not_gone() for it in fleet.batches(5)))
    async with open_channel(vhost.url) as channel:
        await channel.queue_delete(topology.INGEST_READINGS)
    await books.send(*(it.as_dead_letter() for it in fleet.batches(5)))
    ingest.database.thaw()

    async def is_consumed() -> bool:
        try:
            async with open_channel(vhost.url) as channel:
                queue = await channel.declare_queue(topology.INGEST_READINGS, passive=True)
                return bool(queue.declaration_result.consumer_count)
        except ChannelNotFoundEntity:
            return False

    # Declared, bound, and then consumed.
    await eventually(is_consumed, timeout_s=DECLARED_AGAIN_WITHIN_S)
    await books.get_through(fleet.batch(), within_s=BACK_WITHIN_S)
    await books.balance(ingest)
