"""`GET /installations/{id}/consumption`: differences of what a counter showed, by the clocks of a zone."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


async def add_values(engine: AsyncEngine, installation_id: UUID, values: Mapping[datetime, float]) -> None:
    """What the meter showed at these times."""
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO reading VALUES (:id, :at, :value, :at, -70, 96)"),
            [{"id": installation_id, "at": time, "value": value} for time, value in values.items()],
        )


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


async def test_a_day_is_the_difference_of_what_the_counter_showed_at_its_edges(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    meter = building.installation_ids[0]
    noon = at("2026-10-01T12:00:00+02:00")
    await add_values(engine, meter, {noon + 6 * n * HOUR: 100 + n for n in range(13)})
    answer = await client.get(
        f"/installations/{meter}/consumption?from=2026-10-02&to=2026-10-04", headers=headers(building.tenant_id)
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "installation_id": str(meter),
        "medium": "heat",
        "unit_of_measure": "kWh",
        "bucket": "day",
        "time_zone": "Europe/Copenhagen",
        "start": "2026-10-01T22:00:00Z",
        "end": "2026-10-03T22:00:00Z",
        "longest_gap": "P2D",
        "total": {"consumption": 8.0, "flags": []},
        "buckets": [
            {"start": "2026-10-01T22:00:00Z", "end": "2026-10-02T22:00:00Z", "consumption": 4.0, "flags": []},
            {"start": "2026-10-02T22:00:00Z", "end": "2026-10-03T22:00:00Z", "consumption": 4.0, "flags": []},
        ],
    }


async def test_an_installation_that_is_not_there_is_a_404(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    answer = await client.get(f"/installations/{uuid4()}/consumption", headers=headers(building.tenant_id))
    assert (answer.status_code, answer.json()["detail"]) == (404, "No such installation.")
