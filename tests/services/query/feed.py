"""The feed of changes, for tests: readings stored as ingest stores them, and walks along it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.delivery import GatewayDelivery
from services.ingest.operations import Memory, store
from tests.support.registry import Building

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=30)

Key = tuple[str, str]
Sent = tuple[int, int, float]
"""The number of a meter, hours after noon, the value."""


def message(building: Building, readings: Iterable[Sent], *, received_at: datetime = NOW) -> GatewayDelivery:
    """Readings as a gateway of the building sends them."""
    listed = [
        {
            "installation_id": str(building.installation_ids[meter]),
            "timestamp": (NOON + timedelta(hours=hour)).isoformat(),
            "value": value,
        }
        for meter, hour, value in readings
    ]
    return GatewayDelivery(building.gateway_id, json.dumps(listed).encode(), received_at, may_correct=True)


async def stored(engine: AsyncEngine, *messages: GatewayDelivery, memory: Memory | None = None) -> None:
    """Let ingest store messages in one commit."""
    await store(engine, messages, memory or Memory(), lambda: NOW)


@dataclass
class Walk:
    """One who copies what is told: what was told, in order, and the copy."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    limit: int = 1000
    cursor: str | None = None
    told: list[tuple[Key, float]] = field(default_factory=list)

    @property
    def copy(self) -> dict[Key, float]:
        return dict(self.told)

    async def page(self) -> dict[str, Any]:
        parameters = {"limit": str(self.limit)} | ({"after": self.cursor} if self.cursor else {})
        answer = await self.client.get("/changes", params=parameters, headers=self.headers)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        assert len(page["items"]) <= self.limit
        self.cursor = page["next_cursor"]
        self.told += [((it["meter_installation_id"], it["timestamp"]), it["value"]) for it in page["items"]]
        return page

    async def to_the_end(self) -> "Walk":
        while (await self.page())["has_next"]:
            pass
        return self


async def readings_of(engine: AsyncEngine, building: Building) -> dict[Key, float]:
    """What is stored of the building."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT meter_installation_id, timestamp, value FROM reading WHERE meter_installation_id = ANY (:ids)"
            ),
            {"ids": building.installation_ids},
        )
        return {(str(id_), at.isoformat().replace("+00:00", "Z")): value for id_, at, value in rows}


async def with_constants(engine: AsyncEngine, name: str, **constants: tuple[str, str]) -> None:
    """Give a function of the database other constants, so that a test need not make so many rows."""
    async with engine.begin() as connection:
        definition = await connection.scalar(text("SELECT pg_get_functiondef(:name ::regproc)"), {"name": name})
        for written, instead in constants.values():
            assert written in definition
            definition = definition.replace(written, instead)
        await connection.exec_driver_sql(definition)
