"""Gateways that go on sending at a steady rate."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import aio_pika
from aio_pika.abc import AbstractExchange

from benchmarks.errors import BenchError
from benchmarks.ingest.drain import Message, encoded
from benchmarks.ingest.load import Fleet, body, messages
from benchmarks.place import Place
from shared import topology

READINGS = 150
"""In a message."""
SEED = 1
LATE_S = 5.0
"""A sender that is so late does not keep the rate that it is to keep."""


@asynccontextmanager
async def steady_load(
    place: Place, fleet: Fleet, *, readings_per_s: float, first: datetime
) -> AsyncIterator["asyncio.Task[None]"]:
    """Messages of 150 readings from the gateways in turns until the block ends, each confirmed.

    The readings are of `first` and each second after that. It yields what sends them, which ends only by failing;
    then the block raises `BenchError`.
    """
    load = messages(fleet, count=sys.maxsize, readings=READINGS, seed=SEED, first=first, every=timedelta(seconds=1))
    bodies = encoded((gateway_id, body(gateway_id, rows)) for gateway_id, rows in load)
    connection = await aio_pika.connect(place.broker_url, timeout=10)
    async with connection, connection.channel() as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        sending = asyncio.create_task(_send(exchange, bodies, readings_per_s / READINGS))
        try:
            yield sending
        finally:
            sending.cancel()
            (ended,) = await asyncio.gather(sending, return_exceptions=True)
    if not isinstance(ended, asyncio.CancelledError):
        raise BenchError(f"the load did not last: {ended!r}")


async def _send(exchange: AbstractExchange, bodies: Iterable[Message], messages_per_s: float) -> None:
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as confirming:
        for number, (gateway_id, raw) in enumerate(bodies):
            ahead = begun + number / messages_per_s - time.perf_counter()
            if ahead < -LATE_S:
                raise BenchError(f"{messages_per_s:.0f} messages a second could not be sent")
            await asyncio.sleep(max(ahead, 0))
            message = aio_pika.Message(raw, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            confirming.create_task(_confirmed(exchange, message, gateway_id))


async def _confirmed(exchange: AbstractExchange, message: aio_pika.Message, gateway_id: str) -> None:
    await exchange.publish(message, topology.gateway_readings_key(gateway_id), timeout=60)
