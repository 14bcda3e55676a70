"""`GET /readings`: pages of one installation."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import jwt
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import utc_now
from shared.http.times import format_time
from tests.services.query.data import add_readings
from tests.support.registry import create_building
from tests.support.tokens import SECRET, Headers

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


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
async def test_following_the_cursor_unescaped_meets_every_reading_once(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, limit: int, order: str
) -> None:
    times = [START + timedelta(hours=number, microseconds=number % 2) for number in range(7)]
    tenant, installation = await meter_with(engine, times)
    expected = [format_time(time) for time in (times if order == "asc" else reversed(times))]
    url = f"/readings?installation_id={installation}&limit={limit}&order={order}"
    for parameter in ("cursor", "before" if order == "desc" else "after"):
        met: list[str] = []
        page = (await client.get(url, headers=headers(tenant))).json()
        while True:
            met += [item["timestamp"] for item in page["items"]]
            assert (page["next_cursor"] is not None) == page["has_next"]
            if not page["has_next"]:
                break
            assert page["next_cursor"] == page["items"][-1]["timestamp"]
            page = (await client.get(f"{url}&{parameter}={page['next_cursor']}", headers=headers(tenant))).json()
        assert met == expected


async def test_the_link_leads_on_with_the_period_as_it_was(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant, installation = await meter_with(engine, [START + timedelta(hours=number) for number in range(5)])
    url = f"/readings?installation_id={installation}&limit=2&after=2026-11-01T06:00:00+01:00&before=2026-11-01T09:00Z"
    first = await client.get(url, headers=headers(tenant))
    link = first.headers["link"].partition("<")[2].partition(">")[0]
    second = await client.get(link, headers=headers(tenant))
    met = [item["timestamp"] for page in (first, second) for item in page.json()["items"]]
    assert met == ["2026-11-01T08:00:00Z", "2026-11-01T07:00:00Z", "2026-11-01T06:00:00Z"]
    assert "link" not in second.headers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cursor=2026-11-01T08:00:00Z", [7, 6, 5]),
        ("cursor=2026-11-01T08:00:00Z&before=2026-11-01T07:00:00Z", [6, 5]),
        ("cursor=2026-11-01T07:00:00Z&before=2026-11-01T08:00:00Z", [6, 5]),
        ("cursor=2026-11-01T08:00:00Z&after=2026-11-01T06:00:00Z", [7]),
        ("cursor=2026-11-01T08:00:00Z&after=2026-11-01T08:00:00Z", []),
        ("order=asc&cursor=2026-11-01T07:00:00Z", [8, 9]),
        ("order=asc&cursor=2026-11-01T07:00:00Z&after=2026-11-01T08:00:00Z", [9]),
        ("order=asc&cursor=2026-11-01T08:00:00Z&after=2026-11-01T07:00:00Z", [9]),
        ("order=asc&cursor=2026-11-01T07:00:00Z&before=2026-11-01T09:00:00Z", [8]),
        ("after=2026-11-01T09:00:00Z&before=2026-11-01T05:00:00Z", []),
        ("cursor=9999-12-31T23:59:59.999999Z", [9, 8, 7, 6, 5]),
        ("cursor=0001-01-01T00:00:00Z", []),
        ("order=asc&cursor=0001-01-01T00:00:00Z", [5, 6, 7, 8, 9]),
        ("cursor=2026-11-01T09:00:00+01:00", [7, 6, 5]),  # the plus arrives as a space
    ],
)
async def test_a_cursor_narrows_the_period_further(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, query: str, expected: list[int]
) -> None:
    tenant, installation = await meter_with(engine, [START + timedelta(hours=number) for number in range(5)])
    answer = await client.get(f"/readings?installation_id={installation}&{query}", headers=headers(tenant))
    assert [item["timestamp"] for item in answer.json()["items"]] == [
        f"2026-11-01T{hour:02}:00:00Z" for hour in expected
    ]


@pytest.mark.parametrize("cursor", ["", "yesterday", "2026-11-01", "bm90IG91cnM", "%00", "%ED%A0%80", "A" * 4096])
async def test_what_is_no_time_is_no_cursor_of_one_installation(
    client_without_database: httpx2.AsyncClient, headers: Headers, cursor: str
) -> None:
    url = f"/readings?installation_id={uuid4()}&cursor={cursor}"
    answer = await client_without_database.get(url, headers=headers(uuid4()))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


async def test_values_and_times_are_written_so_that_they_come_back_as_they_were(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    values = [0.1, -0.001, 44922.222222, 3e-06, 1e300, 5e-324, 123456789012345680.0, -0.0]
    tenant, installation = await meter_with(engine, [])
    times = [START + timedelta(microseconds=10**number) for number in range(8)]
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO reading VALUES (:id, :at, :value, :at)"),
            [{"id": installation, "at": at, "value": value} for at, value in zip(times, values, strict=True)],
        )
    answer = await client.get(f"/readings?installation_id={installation}&order=asc", headers=headers(tenant))
    items = answer.json()["items"]
    assert [item["value"] for item in items] == values
    for name in ("timestamp", "received_at"):
        assert [datetime.fromisoformat(item[name]) for item in items] == times
        assert all(item[name].endswith("Z") for item in items)
    assert all(item["rssi_dbm"] is item["battery_level_pct"] is None for item in items)


async def test_the_readings_of_a_meter_that_was_taken_down_are_still_there(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant, installation = await meter_with(engine, [START])
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE meter_installation SET deleted_at = now()"))
    answer = await client.get(f"/readings?installation_id={installation}", headers=headers(tenant))
    assert len(answer.json()["items"]) == 1


async def test_a_narrowed_caller_has_the_readings_of_its_properties_only(
    client: httpx2.AsyncClient, engine: AsyncEngine
) -> None:
    building = await create_building(engine, meters=1)
    (installation,) = building.installation_ids
    await add_readings(engine, installation, [START])

    async def status_and_size(query: str, *property_ids: UUID) -> tuple[int, int]:
        claims = {
            "sub": "tests",
            "aud": "mbus",
            "exp": int(utc_now().timestamp()) + 60,
            "scope": "readings:read",
            "tenant_id": str(building.tenant_id),
            "property_ids": [str(one) for one in property_ids],
        }
        token = jwt.encode(claims, SECRET, algorithm="HS256")
        answer = await client.get(f"/readings?{query}", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, len(answer.json().get("items", ()))

    assert await status_and_size(f"installation_id={installation}", building.property_id) == (200, 1)
    assert await status_and_size(f"installation_id={installation}", uuid4()) == (404, 0)
    assert await status_and_size(f"installation_id={installation}") == (404, 0)
    for several in (f"unit_id={building.unit_id}", f"property_id={building.property_id}", "medium=heat"):
        assert await status_and_size(several, uuid4(), building.property_id) == (200, 1)
        assert await status_and_size(several, uuid4()) == await status_and_size(several) == (200, 0)


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
