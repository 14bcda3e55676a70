"""Watches a program while it empties a queue: how fast, and what memory it took."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel

from benchmarks.errors import BenchError
from benchmarks.program import Program

LOOK_S = 0.02
"""How often the queue is looked at while it is emptied, which costs the measured program nothing."""
SAMPLE_S = 1.0
"""How often the program itself is asked meanwhile."""
STUCK_S = 60.0

RSS = "process_resident_memory_bytes"


@dataclass(frozen=True)
class Course:
    """What was seen: how much was counted from the first to the last look, and the program's last metrics."""

    count: int
    seconds: float
    rss_mib: list[float]
    metrics: dict[str, float]

    @property
    def per_s(self) -> float:
        """The rate, from the first to the last of it that was seen."""
        return self.count / self.seconds


async def watch(broker_url: str, queue: str, program: Program, *, counter: str, expected: int) -> Course:
    """Wait until `program`, which empties `queue`, has counted `expected` under metrics that begin with `counter`."""
    loop = asyncio.get_running_loop()
    first: tuple[float, float] | None = None
    rss: list[float] = []
    moved, before, asked = loop.time(), -1.0, 0.0
    async with _open_channel(broker_url) as channel:
        while True:
            ready = await _ready(channel, queue)
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
                        raise BenchError(f"all {expected} were done at the first look: more are needed")
                    return Course(int(count - first[1]), asked - first[0], rss, metrics)
                moved, before = (asked, count) if count != before else (moved, before)
            if loop.time() - moved > STUCK_S:
                raise BenchError(f"nothing moved for {STUCK_S:.0f} s, with {ready} messages in the queue")
            await asyncio.sleep(LOOK_S)


async def check_empty(broker_url: str, queue: str) -> None:
    """Raise `BenchError` when messages came back to `queue`, because they were not acknowledged."""
    left = await waiting(broker_url, queue)
    if left:
        raise BenchError(f"{left} messages came back to the queue: they were not acknowledged")


async def waiting(broker_url: str, queue: str) -> int:
    """How many messages wait in `queue`."""
    async with _open_channel(broker_url) as channel:
        return await _ready(channel, queue)


@asynccontextmanager
async def _open_channel(broker_url: str) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(broker_url, timeout=10)
    async with connection, connection.channel() as channel:
        yield channel


async def _ready(channel: AbstractChannel, queue: str) -> int:
    """How many messages wait in `queue`; those in a consumer's hands are not among them."""
    declared = await channel.declare_queue(queue, passive=True)
    return int(declared.declaration_result.message_count or 0)
