"""`GET /readings`: pages of one installation."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.conftest import Headers
from tests.services.query.data import add_readings
from tests.support.registry import create_building

START = datetime(2026, 11, 1, 5, tzinfo=UTC)


async def meter_with(engine: AsyncEngine, times: list[datetime]) -> tuple[UUID, UUID]:
    """A tenant and its installation with a reading at each of `times`."""
    building = await create_building(engine, meters=1)
    (installation,) = building.installation_ids
    await add_readings(engine, installation, times)
    return building.tenant_id, installation


async def test_a_page_has_the_newest_readings_first_with_all_that_is_known_of_them(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant, installation = await meter_with(engine, [START, START + timedelta(hours=1)])
    answer = await client.get(f"/readings?installation_id={installation}", headers=headers(tenant))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "items": [
            {
                "meter_installation_id": str(installation),
                "timestamp": time,
                "value": value,
                "rssi_dbm": -70,
                "battery_level_pct": 96,
                "received_at": time,
            }
            for time, value in [("2026-11-01T06:00:00Z", 1.0), ("2026-11-01T05:00:00Z", 0.0)]
        ],
        "next_cursor": None,
        "has_next": False,
    }


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
async def test_following_the_cursor_unescaped_meets_every_reading_once(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, limit: int
) -> None:
    times = [START + timedelta(hours=number, microseconds=number % 2) for number in range(7)]
    tenant, installation = await meter_with(engine, times)
    met: list[str] = []
    url = f"/readings?installation_id={installation}&limit={limit}"
    page = (await client.get(url, headers=headers(tenant))).json()
    while True:
        met += [item["timestamp"] for item in page["items"]]
        assert (page["next_cursor"] is not None) == page["has_next"]
        if not page["has_next"]:
            break
        assert page["next_cursor"] == page["items"][-1]["timestamp"]
        page = (await client.get(f"{url}&before={page['next_cursor']}", headers=headers(tenant))).json()
    assert met == [time.isoformat().replace("+00:00", "Z") for time in reversed(times)]


async def test_a_full_page_that_is_the_last_says_so(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant, installation = await meter_with(engine, [START, START + timedelta(hours=1)])
    page = (await client.get(f"/readings?installation_id={installation}&limit=2", headers=headers(tenant))).json()
    assert (len(page["items"]), page["has_next"], page["next_cursor"]) == (2, False, None)


@pytest.mark.parametrize(
    "before",
    [
        "2026-11-01T06:00:00Z",
        "2026-11-01T06:00:00.000000Z",
        "2026-11-01T07:00:00+01:00",  # the plus arrives as a space
        "2026-11-01T07:00:00%2B01:00",
        "2026-11-01T05:00:00-0100",
    ],
)
async def test_before_is_exclusive_and_takes_any_offset(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, before: str
) -> None:
    tenant, installation = await meter_with(engine, [START, START + timedelta(hours=1)])
    answer = await client.get(f"/readings?installation_id={installation}&before={before}", headers=headers(tenant))
    assert [item["timestamp"] for item in answer.json()["items"]] == ["2026-11-01T05:00:00Z"]


@pytest.mark.parametrize(
    ("before", "expected"), [("0001-01-01T00:00:00Z", 0), ("9999-12-31T23:59:59.999999Z", 1), ("0001-01-01T00:00Z", 0)]
)
async def test_the_first_and_the_last_time_are_times_like_others(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, before: str, expected: int
) -> None:
    tenant, installation = await meter_with(engine, [START])
    answer = await client.get(f"/readings?installation_id={installation}&before={before}", headers=headers(tenant))
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == expected


async def test_an_installation_without_readings_has_an_empty_page(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant, installation = await meter_with(engine, [])
    answer = await client.get(f"/readings?installation_id={installation}", headers=headers(tenant))
    assert answer.json() == {"items": [], "next_cursor": None, "has_next": False}


async def test_another_tenants_installation_cannot_be_told_from_one_that_does_not_exist(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    _, installation = await meter_with(engine, [START])
    stranger = (await create_building(engine)).tenant_id
    foreign = await client.get(f"/readings?installation_id={installation}", headers=headers(stranger))
    absent = await client.get(f"/readings?installation_id={uuid4()}", headers=headers(stranger))
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content
