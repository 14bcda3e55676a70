"""Somebody who asks for consumption, and counters that are read each day."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.registry import Building, add_meter, create_building

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OCTOBER = datetime.fromisoformat("2026-10-01T00:00:00+02:00")


async def add_values(engine: AsyncEngine, installation_id: UUID, values: Mapping[datetime, float]) -> None:
    """What the meter showed at these times."""
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO reading VALUES (:id, :at, :value, :at, -70, 96)"),
            [{"id": installation_id, "at": at, "value": value} for at, value in values.items()],
        )


async def change(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)


def daily(start: datetime, *values: float) -> dict[datetime, float]:
    return {start + number * DAY: value for number, value in enumerate(values)}


async def flat_with_three_meters(engine: AsyncEngine) -> Building:
    """A flat with two heat meters and one for water, read at each midnight of 1 to 4 October."""
    building = await create_building(engine, meters=2)
    await add_meter(engine, building, "water", medium="cold_water", unit_of_measure="l")
    for meter, values in zip(
        building.installation_ids, ((0, 1, 3, 6), (0, 10, 20, 30), (0, 0, 500, 1500)), strict=True
    ):
        await add_values(engine, meter, daily(OCTOBER, *values))
    return building


class Asks:
    """Somebody who asks for consumption."""

    def __init__(self, client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        self._client = client
        self._headers = headers

    async def answer(self, path: str, **parameters: str) -> httpx2.Response:
        query = "&".join(f"{name.rstrip('_')}={quote(value)}" for name, value in parameters.items())
        return await self._client.get(f"{path}/consumption?{query}", headers=self._headers)

    async def found(self, path: str, **parameters: str) -> Any:
        answer = await self.answer(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


def amounts(told: Any) -> list[float | None]:
    return [bucket["consumption"] for bucket in told["buckets"]]
