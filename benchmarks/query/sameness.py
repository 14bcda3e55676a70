"""Whether the servers answer the same: a rate of other work would mean nothing."""

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


async def check_sameness(servers: Sequence[Server], calls: Sequence[Call], *, limit: int) -> None:
    """Raise `BenchError` unless all servers answer each call with the same `limit` readings."""
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        for call in calls:
            pages = [await _page(client, server, call) for server in servers]
            for server, page in zip(servers, pages, strict=True):
                if page != pages[0]:
                    raise BenchError(f"{server.name} does not answer {call.path} as {servers[0].name} does")
                if len(page.items) != limit:
                    raise BenchError(f"{server.name} answers {len(page.items)} readings to {call.path}")


async def _page(client: httpx2.AsyncClient, server: Server, call: Call) -> AnsweredPage:
    url = f"http://127.0.0.1:{server.port}{call.path}"
    answer = await client.get(url, headers={"Authorization": f"Bearer {call.token}"})
    if answer.status_code != httpx2.codes.OK:
        raise BenchError(f"{server.name} answered {answer.status_code} for {call.path}")
    return msgspec.json.decode(answer.content, type=AnsweredPage)
