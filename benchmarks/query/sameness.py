"""Whether the servers answer what they are asked for, and the same: a rate of other work would mean nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx2
import msgspec

from benchmarks.errors import BenchError
from benchmarks.query.client import Call
from benchmarks.query.servers import Server


@dataclass(frozen=True)
class AnsweredReading:
    """A reading as any of the servers answers it."""

    meter_installation_id: UUID
    timestamp: datetime
    value: float
    rssi_dbm: int | None
    battery_level_pct: int | None
    received_at: datetime


@dataclass(frozen=True)
class AnsweredPage:
    """A page as any of the servers answers it."""

    items: list[AnsweredReading]
    next_cursor: datetime | None
    has_next: bool


@dataclass(frozen=True)
class AnsweredList:
    """A page of whatever it is."""

    items: list[msgspec.Raw]


@dataclass(frozen=True)
class AnsweredBucket:
    """A bucket of consumption, whatever else it says; null is not known."""

    consumption: float


@dataclass(frozen=True)
class AnsweredConsumption:
    """Consumption by buckets."""

    buckets: list[AnsweredBucket]


async def check_sameness(servers: Sequence[Server], calls: Sequence[Call], *, limit: int) -> None:
    """Raise `BenchError` unless all servers answer each call with the same `limit` readings."""
    for call in calls:
        pages = [msgspec.json.decode(await _answer(server, call), type=AnsweredPage) for server in servers]
        for server, page in zip(servers, pages, strict=True):
            if page != pages[0]:
                raise BenchError(f"{server.name} does not answer {call.path} as {servers[0].name} does")
            _check_length(server, call, page.items, limit)


async def check_length(server: Server, calls: Sequence[Call], *, limit: int) -> None:
    """Raise `BenchError` unless `server` answers each call with `limit` items."""
    for call in calls:
        _check_length(server, call, msgspec.json.decode(await _answer(server, call), type=AnsweredList).items, limit)


async def check_buckets(server: Server, calls: Sequence[Call], *, number: int) -> None:
    """Raise `BenchError` unless `server` answers each call with so many buckets, all of them known."""
    for call in calls:
        found = len(msgspec.json.decode(await _answer(server, call), type=AnsweredConsumption).buckets)
        if found != number:
            raise BenchError(f"{server.name} answers {found} buckets to {call.path}")


def _check_length(server: Server, call: Call, items: Sequence[object], limit: int) -> None:
    if len(items) != limit:
        raise BenchError(f"{server.name} answers {len(items)} items to {call.path}")


async def _answer(server: Server, call: Call) -> bytes:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        url = f"http://127.0.0.1:{server.port}{call.path}"
        answer = await client.get(url, headers={"Authorization": f"Bearer {call.token}"})
    if answer.status_code != httpx2.codes.OK:
        raise BenchError(f"{server.name} answered {answer.status_code} to {call.path}")
    return answer.content
