"""What programs take in bulk, and how long it takes: an export as CSV, and a walk along the changes from the first."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import httpx2
import msgspec

from benchmarks.errors import BenchError
from benchmarks.query.data import Heard
from benchmarks.query.servers import OurServer

CHANGES_LIMIT = 10_000
HEADER_LINES = 1
TIMEOUT_S = 60.0


class ChangesPage(msgspec.Struct):
    """A page of the feed, of which only the length and the way on are looked at."""

    items: list[msgspec.Raw]
    next_cursor: str
    has_next: bool


async def export_s(server: OurServer, of: Sequence[Heard], *, readings: int) -> float:
    """Seconds for the first `readings` of an export of all that is in the buildings of these; then it is cut.

    Raises `BenchError` when there are fewer.
    """
    properties = sorted({("property_id", one.property_id) for one in of})
    started = time.perf_counter()
    lines = 0
    async with _answer(server, of[0], "/readings/export?" + urlencode([("format", "csv"), *properties])) as answer:
        async for part in answer.aiter_raw():
            lines += part.count(b"\n")
            if lines > readings:
                break
    took = time.perf_counter() - started
    if lines - HEADER_LINES < readings:
        raise BenchError(f"the export has {lines - HEADER_LINES:,} readings, and {readings:,} were to come")
    return took


async def walk_s(server: OurServer, of: Heard, *, readings: int) -> float:
    """Seconds for the first `readings` changes of a tenant, or the few more that fill the last page."""
    started = time.perf_counter()
    cursor, walked = "", 0
    while walked < readings:
        path = f"/changes?limit={CHANGES_LIMIT}" + (f"&after={cursor}" if cursor else "")
        async with _answer(server, of, path) as answer:
            page = msgspec.json.decode(await answer.aread(), type=ChangesPage)
        walked, cursor = walked + len(page.items), page.next_cursor
        if walked < readings and not page.has_next:
            raise BenchError(f"there are {walked:,} changes, and {readings:,} were to come")
    return (time.perf_counter() - started) * readings / walked


@asynccontextmanager
async def _answer(server: OurServer, of: Heard, path: str) -> AsyncIterator[httpx2.Response]:
    url = f"http://127.0.0.1:{server.port}{path}"
    # Without gzip, which would be measured instead.
    headers = {"Authorization": f"Bearer {server.token(of.tenant_id)}", "Accept-Encoding": "identity"}
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code != httpx2.codes.OK:
            raise BenchError(f"{server.name} answered {answer.status_code} to {path[:100]}")
        yield answer
