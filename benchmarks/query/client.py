"""`python -m benchmarks.query.client`: sends requests over some connections, one at a time on each, and times them.

As little as an HTTP client can be, so that the server is what is measured. Reads a `Job` from stdin and prints a
`Load`, both JSON.
"""

import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import quantiles
from typing import cast

import msgspec
import uvloop
from typing_extensions import override

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "
LAST_ANSWER_S = 60.0


@dataclass(frozen=True)
class Call:
    """What is asked for, a path with its query, and the token that goes with it."""

    path: str
    token: str


@dataclass(frozen=True)
class Job:
    """`calls` over and over for `seconds`, to a server on this machine."""

    port: int
    calls: list[Call]
    connections: int
    seconds: float


@dataclass(frozen=True)
class Load:
    """What came of a job. `failure` is the head of an answer that was not a 200, and then the rest means nothing."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_share: float
    """How much of one processor the client itself took: near 1, it was the client that was measured."""
    failure: str | None = None


class _Course:
    """What the connections of one job share."""

    def __init__(self, calls: Iterator[bytes], until: float) -> None:
        self.calls = calls
        self.until = until
        self.seconds: list[float] = []
        self.failure: str | None = None


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the one before is whole, until the time is up."""

    def __init__(self, course: _Course, done: "asyncio.Future[None]") -> None:
        self._course = course
        self._done = done
        self._transport: asyncio.WriteTransport | None = None
        self._head = b""
        self._missing = 0
        self._sent_at = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one in all but name
        self._send()

    @override
    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, end, body = self._head.partition(END_OF_HEAD)
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(head)
                return
            length = head.lower().partition(LENGTH)[2].partition(b"\r\n")[0]
            self._head, self._missing = b"", int(length) - len(body)
        if not self._missing:
            now = time.perf_counter()
            self._course.seconds.append(now - self._sent_at)
            if now < self._course.until and not self._course.failure:
                self._send()
            else:
                self._end()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._fail(b"the server closed the connection")

    def _send(self) -> None:
        assert self._transport is not None  # noqa: S101 - nothing is sent before it is connected
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._course.calls))

    def _fail(self, why: bytes) -> None:
        self._course.failure = why.decode("latin-1").replace("\r\n", " | ")
        self._end()

    def _end(self) -> None:
        self._done.set_result(None)
        if self._transport is not None:
            self._transport.close()


async def run_job(job: Job) -> Load:
    """Do what `job` says."""
    loop = asyncio.get_running_loop()
    calls = itertools.cycle([_request(job.port, call) for call in job.calls])
    gc.collect()
    gc.disable()
    begun, cpu = time.perf_counter(), time.process_time()
    course = _Course(calls, begun + job.seconds)
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(job.connections)]
    async with asyncio.timeout(job.seconds + LAST_ANSWER_S):
        for done in ends:
            await loop.create_connection(partial(_Connection, course, done), "127.0.0.1", job.port)
        await asyncio.gather(*ends)
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    percentiles = quantiles(course.seconds * 2, n=100, method="inclusive") if course.seconds else [0.0] * 99
    return Load(
        requests=len(course.seconds),
        requests_per_s=round(len(course.seconds) / took, 1),
        p50_ms=round(percentiles[49] * 1000, 3),
        p99_ms=round(percentiles[98] * 1000, 3),
        cpu_share=round(cpu / took, 3),
        failure=course.failure,
    )


def _request(port: int, call: Call) -> bytes:
    head = f"GET {call.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {call.token}\r\n\r\n"
    return head.encode("ascii")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(run_job(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(load))
