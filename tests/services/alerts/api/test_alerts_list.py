"""`GET /alerts` and `GET /alerts/{id}`: which alerts there are, in which order, and what is said of each."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.queries import alert_subjects
from shared.clock import utc_now
from tests.services.alerts.api.data import NOON, add_alert, building_beside, set_last_reading
from tests.support.registry import Building, add_meter, create_building
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


async def listed(client: httpx2.AsyncClient, headers: dict[str, str], query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/alerts?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_an_alert_of_a_meter_says_where_it_is_and_what_it_last_showed(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    serial, installation_id = next(iter(building.meters.items()))
    await set_last_reading(engine, installation_id, NOON - 2 * HOUR, state="stale")
    alert_id = await add_alert(engine, building, installation_id=installation_id)
    (item,) = await listed(client, headers(building.tenant_id))
    assert item == {
        "id": str(alert_id),
        "type": "installation.stale",
        "since": "2026-10-30T12:00:00Z",
        "opened_at": "2026-11-01T12:00:00Z",
        "opened_because": "silence",
        "closed_at": None,
        "closed_because": None,
        "installation": {
            "id": str(installation_id),
            "meter_serial": serial,
            "medium": "heat",
            "unit_of_measure": "kWh",
            "gateway_id": building.gateway_id,
            "property_id": str(building.property_id),
            "property_name": building.property_name,
            "property_address": "Testvej 1, 8000 Aarhus",
            "unit_id": str(building.unit_id),
            "unit_label": "1. tv",
            "latest_reading": {
                "timestamp": "2026-11-01T10:00:00Z",
                "value": 1.5,
                "rssi_dbm": -70,
                "battery_level_pct": 96,
            },
        },
        "gateway": None,
        "acknowledged": None,
        "snoozed": None,
    }
    one = await client.get(f"/alerts/{alert_id}", headers=headers(building.tenant_id))
    assert one.json() == item


async def test_an_alert_of_a_gateway_says_how_many_meters_are_behind_it_and_where(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO gateway_heard VALUES (:id, :at)"), {"id": building.gateway_id, "at": NOON - HOUR}
        )
    await add_alert(engine, building)
    (item,) = await listed(client, headers(building.tenant_id))
    assert (item["type"], item["installation"]) == ("gateway.silent", None)
    assert item["gateway"] == {
        "id": building.gateway_id,
        "name": "In the cellar",
        "last_heard_at": "2026-11-01T11:00:00Z",
        "installations": 3,
        "addresses": ["Testvej 1, 8000 Aarhus"],
    }


async def test_the_newest_come_first_page_by_page_and_only_the_open_ones_unless_others_are_asked_for(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    installation_id = building.installation_ids[0]
    at_once = [await add_alert(engine, building, installation_id=one) for one in building.installation_ids]
    closed = await add_alert(
        engine, building, installation_id=installation_id, opened_at=NOON + HOUR, closed_at=NOON + 2 * HOUR
    )
    oldest = await add_alert(engine, building, opened_at=NOON - HOUR)
    in_order = [closed, *sorted(at_once, key=lambda one: one.bytes, reverse=True), oldest]

    async def ids(query: str) -> list[UUID]:
        found: list[UUID] = []
        url: str | None = f"/alerts?limit=2&{query}"
        while url is not None:
            answer = await client.get(url, headers=headers(building.tenant_id))
            found += [UUID(item["id"]) for item in answer.json()["items"]]
            url = answer.headers["Link"].partition(">")[0][1:] if answer.json()["has_next"] else None
        return found

    assert await ids("state=all") == in_order
    assert await ids("") == await ids("state=open") == in_order[1:]
    assert await ids("state=closed") == [closed]


@pytest.fixture(params=["of few", "of many"])
def however_many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alerts of a few meters are looked up; those of many are found by going back in time."""
    if request.param == "of many":
        monkeypatch.setattr(alert_subjects, "MOST", 0)


@pytest.mark.usefixtures("however_many")
async def test_each_filter_leaves_out_what_does_not_meet_it(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    heat = building.installation_ids[0]
    water = await add_meter(engine, building, "71440146", medium="cold_water", unit_of_measure="m3")
    elsewhere = await building_beside(engine, building)
    there = elsewhere.installation_ids[0]
    now = utc_now()
    who: dict[str, Any] = {"acknowledged_at": NOON, "acknowledged_by": "me"}
    alerts = {
        "heat": await add_alert(engine, building, installation_id=heat, **who),
        "water": await add_alert(
            engine, building, installation_id=water, opened_at=NOON + HOUR, snoozed_until=now + HOUR, snoozed_by="me"
        ),
        "gateway": await add_alert(engine, building, snoozed_until=now - HOUR, snoozed_by="me"),
        "there": await add_alert(engine, elsewhere, installation_id=there),
    }
    everything = set(alerts)
    expected = {
        "type=gateway.silent": {"gateway"},
        "type=gateway.silent&type=installation.stale": everything,
        f"installation_id={heat}&installation_id={water}&installation_id={uuid4()}": {"heat", "water"},
        f"gateway_id={building.gateway_id}": {"heat", "water", "gateway"},
        f"gateway_id={elsewhere.gateway_id}&gateway_id=GW-none": {"there"},
        f"property_id={building.property_id}": {"heat", "water", "gateway"},
        f"property_id={elsewhere.property_id}": {"there"},
        "medium=cold_water": {"water"},
        "medium=heat&medium=cold_water": everything - {"gateway"},
        "acknowledged=true": {"heat"},
        "acknowledged=false": everything - {"heat"},
        "snoozed=true": {"water"},
        "snoozed=false": everything - {"water"},
        "opened_after=2026-11-01T12:00:00Z": {"water"},
        "opened_before=2026-11-01T12:00:01Z": everything - {"water"},
        "medium=heat&acknowledged=false": {"there"},
    }
    for query, names in expected.items():
        found = await listed(client, headers(building.tenant_id), query)
        assert {UUID(item["id"]) for item in found} == {alerts[name] for name in names}, query


async def test_a_snooze_that_is_over_is_none(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    now = utc_now()
    over = await add_alert(engine, building, snoozed_until=now - HOUR, snoozed_by="me")
    (item,) = await listed(client, headers(building.tenant_id))
    assert (item["id"], item["snoozed"]) == (str(over), None)


@pytest.mark.usefixtures("however_many")
async def test_a_narrowed_caller_sees_the_alerts_of_its_properties_and_of_their_gateways(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    elsewhere = await building_beside(engine, building)
    here = {
        await add_alert(engine, building, installation_id=building.installation_ids[0]),
        await add_alert(engine, building),
    }
    there = {
        await add_alert(engine, elsewhere, installation_id=elsewhere.installation_ids[0]),
        await add_alert(engine, elsewhere),
    }
    narrowed = headers(building.tenant_id, property_ids=[building.property_id])
    assert {UUID(item["id"]) for item in await listed(client, narrowed)} == here
    for alert_id in here | there:
        answer = await client.get(f"/alerts/{alert_id}", headers=narrowed)
        assert answer.status_code == (200 if alert_id in here else 404)
    assert await listed(client, headers(building.tenant_id, property_ids=[])) == []


async def test_a_gateway_counts_for_a_narrowed_caller_only_the_meters_within_its_reach(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    elsewhere = await building_beside(engine, building)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE meter_installation SET gateway_id = :gateway WHERE id = :id"),
            {"gateway": building.gateway_id, "id": elsewhere.installation_ids[0]},
        )
    await add_alert(engine, building)
    (whole,) = await listed(client, headers(building.tenant_id))
    (narrowed,) = await listed(client, headers(building.tenant_id, property_ids=[elsewhere.property_id]))
    assert (whole["gateway"]["installations"], narrowed["gateway"]["installations"]) == (4, 1)
