"""Fills ingest's queue, and measures how fast a program empties it."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aio_pika
import msgspec

from benchmarks.draining import Course, check_empty, watch
from benchmarks.place import Place
from benchmarks.program import Program, free_port, running_program
from services.ingest.settings import IngestSettings
from shared import topology

IN_FLIGHT_MESSAGES = 256
BYTES_A_PLACE = 64 * 1024
"""Of large messages fewer are in flight."""

BATCH = "mbus_ingest_batch_readings"
READINGS = "mbus_ingest_readings_total"

Message = tuple[str, bytes]
"""A gateway's id and a body."""


@dataclass(frozen=True)
class Batches:
    """The batches that ingest wrote: how many, their mean, and how many had at most so many readings."""

    commits: int
    mean_readings: float
    at_most: dict[str, int]


@dataclass(frozen=True)
class Drained:
    """How a program emptied the queue; rates count from the first to the last commit that was seen."""

    messages: int
    seconds: float
    messages_per_s: float
    cpu_s: float
    peak_rss_mib: float
    rss_mib: list[float]
    verdicts: dict[str, int]
    batches: Batches | None

    def readings_per_s(self, readings_a_message: int) -> float:
        """The rate in readings."""
        return self.messages_per_s * readings_a_message


async def fill(place: Place, messages: Iterable[Message]) -> int:
    """Publish `messages` to the queue, confirmed; how many there were."""
    count = 0
    connection = await aio_pika.connect(place.broker_url, timeout=10)
    async with connection, connection.channel(on_return_raises=True) as channel, asyncio.TaskGroup() as sending:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        room = asyncio.Semaphore(IN_FLIGHT_MESSAGES)

        async def send(gateway_id: str, body: bytes, places: int) -> None:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(message, topology.gateway_readings_key(gateway_id), timeout=60)
            for _ in range(places):
                room.release()

        for gateway_id, body in messages:
            places = 1 + len(body) // BYTES_A_PLACE
            for _ in range(places):
                await room.acquire()
            count += 1
            sending.create_task(send(gateway_id, body, places))
    return count


async def drain_by_ingest(place: Place, *, expected: int, more: Mapping[str, str] | None = None) -> Drained:
    """Let the real service, with its own defaults, empty a queue of `expected` messages; `more` are its variables."""
    port = free_port()
    variables = {
        "MBUS_INGEST_DATABASE_URL": place.ingest_url,
        "MBUS_INGEST_BROKER_URL": place.broker_ingest_url,
        "MBUS_INGEST_PORT": str(port),
        **(more or {}),
    }
    async with running_program("services.ingest", port=port, variables=variables) as program:
        course = await watch(
            place.broker_url, topology.INGEST_READINGS, program, counter="mbus_ingest_messages_total", expected=expected
        )
    prefix = f'{READINGS}{{verdict="'
    verdicts = {
        name.removeprefix(prefix)[:-2]: int(value) for name, value in course.metrics.items() if name.startswith(prefix)
    }
    return await _result(place, program, course, verdicts, _batches(course.metrics))


async def drain_by_noop(place: Place, *, expected: int) -> Drained:
    """Let the handler that does nothing empty a queue of `expected` messages."""
    port = free_port()
    variables = {
        "MBUS_NOOP_BROKER_URL": place.broker_ingest_url,
        "MBUS_NOOP_PREFETCH": str(IngestSettings.model_fields["prefetch"].default),
        "MBUS_NOOP_PORT": str(port),
    }
    async with running_program("benchmarks.ingest.noop", port=port, variables=variables) as program:
        course = await watch(
            place.broker_url, topology.INGEST_READINGS, program, counter="mbus_noop_messages_total", expected=expected
        )
    return await _result(place, program, course, {}, None)


async def _result(
    place: Place, program: Program, course: Course, verdicts: dict[str, int], batches: Batches | None
) -> Drained:
    await check_empty(place.broker_url, topology.INGEST_READINGS)
    return Drained(
        messages=course.count,
        seconds=course.seconds,
        messages_per_s=course.per_s,
        cpu_s=program.cpu_s,
        peak_rss_mib=round(program.peak_rss_bytes / 2**20, 1),
        rss_mib=course.rss_mib,
        verdicts=verdicts,
        batches=batches,
    )


def _batches(metrics: Mapping[str, float]) -> Batches:
    commits = metrics[f"{BATCH}_count"]
    prefix = f'{BATCH}_bucket{{le="'
    at_most = {
        name.removeprefix(prefix)[:-2].removesuffix(".0"): int(value)
        for name, value in metrics.items()
        if name.startswith(prefix)
    }
    return Batches(int(commits), round(metrics[f"{BATCH}_sum"] / max(commits, 1), 1), at_most)


def encoded(messages: Iterable[tuple[str, msgspec.Struct]]) -> Iterable[Message]:
    """Messages as they go over the wire, made one by one."""
    encoder = msgspec.json.Encoder()
    return ((gateway_id, encoder.encode(message)) for gateway_id, message in messages)
