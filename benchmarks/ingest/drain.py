"""Fills ingest's queue, and measures how fast a program empties it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel

from benchmarks.errors import BenchError
from benchmarks.place import Place
from benchmarks.program import Program, free_port, running_program
from services.ingest.settings import IngestSettings
from shared import topology

IN_FLIGHT_MESSAGES = 256
BYTES_A_PLACE = 64 * 1024
"""Of large messages fewer are in flight."""
LOOK_S = 0.02
"""How often the queue is looked at while it is emptied, which costs the measured program nothing."""
SAMPLE_S = 1.0
"""How often the program itself is asked meanwhile."""
STUCK_S = 60.0

BATCH = "mbus_ingest_batch_readings"
READINGS = "mbus_ingest_readings_total"
RSS = "process_resident_memory_bytes"

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
        done, last = await _drain(place, program, "mbus_ingest_messages_total", expected)
    prefix = f'{READINGS}{{verdict="'
    verdicts = {name.removeprefix(prefix)[:-2]: int(value) for name, value in last.items() if name.startswith(prefix)}
    return await _result(place, program, done, verdicts, _batches(last))


async def drain_by_noop(place: Place, *, expected: int) -> Drained:
    """Let the handler that does nothing empty a queue of `expected` messages."""
    port = free_port()
    variables = {
        "MBUS_NOOP_BROKER_URL": place.broker_ingest_url,
        "MBUS_NOOP_PREFETCH": str(IngestSettings.model_fields["prefetch"].default),
        "MBUS_NOOP_PORT": str(port),
    }
    async with running_program("benchmarks.ingest.noop", port=port, variables=variables) as program:
        done, _ = await _drain(place, program, "mbus_noop_messages_total", expected)
    return await _result(place, program, done, {}, None)


@dataclass
class _Course:
    """What was seen while the queue was emptied."""

    messages: int
    seconds: float
    rss: list[float]


async def _drain(place: Place, program: Program, counter: str, expected: int) -> tuple[_Course, dict[str, float]]:
    """Wait until `program` has counted `expected` messages; what was seen, and its last metrics."""
    loop = asyncio.get_running_loop()
    first: tuple[float, float] | None = None
    rss: list[float] = []
    moved, before, asked = loop.time(), -1.0, 0.0
    async with _open_channel(place) as channel:
        while True:
            ready = await _ready(channel)
            # Where the rate is reckoned from and to, it is looked at closely.
            if first is None or ready == 0 or loop.time() - asked > SAMPLE_S:
                asked = loop.time()
                metrics = await program.metrics()
                count = sum(value for name, value in metrics.items() if name.startswith(counter))
                if first is None and count:
                    first = (asked, count)
                if len(rss) < asked - (first or (asked,))[0] + 1:
                    rss.append(round(metrics.get(RSS, 0) / 2**20, 1))
                if count >= expected and first is not None:
                    if count == first[1]:
                        raise BenchError(f"all {expected} messages were done at the first look: more are needed")
                    return _Course(int(count - first[1]), asked - first[0], rss), metrics
                moved, before = (asked, count) if count != before else (moved, before)
            if loop.time() - moved > STUCK_S:
                raise BenchError(f"nothing moved for {STUCK_S:.0f} s, with {ready} messages in the queue")
            await asyncio.sleep(LOOK_S)


async def _result(
    place: Place, program: Program, course: _Course, verdicts: dict[str, int], batches: Batches | None
) -> Drained:
    async with _open_channel(place) as channel:
        left = await _ready(channel)
    if left:
        raise BenchError(f"{left} messages came back to the queue: they were not acknowledged")
    return Drained(
        messages=course.messages,
        seconds=course.seconds,
        messages_per_s=course.messages / course.seconds,
        cpu_s=program.cpu_s,
        peak_rss_mib=round(program.peak_rss_bytes / 2**20, 1),
        rss_mib=course.rss,
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


@asynccontextmanager
async def _open_channel(place: Place) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(place.broker_url, timeout=10)
    async with connection, connection.channel() as channel:
        yield channel


async def _ready(channel: AbstractChannel) -> int:
    """How many messages wait in ingest's queue; those in a consumer's hands are not among them."""
    queue = await channel.declare_queue(topology.INGEST_READINGS, passive=True)
    return int(queue.declaration_result.message_count or 0)


def encoded(messages: Iterable[tuple[str, msgspec.Struct]]) -> Iterable[Message]:
    """Messages as they go over the wire, made one by one."""
    encoder = msgspec.json.Encoder()
    return ((gateway_id, encoder.encode(message)) for gateway_id, message in messages)
