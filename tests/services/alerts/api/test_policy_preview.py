"""`POST /policies/preview`: what a change would make of the meters, which nothing is changed of."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.settings import AlertsSettings
from shared.clock import utc_now
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.api.data import add_alert, building_beside, set_last_reading
from tests.services.alerts.standing import change, hear_gateway, long_registered
from tests.support.registry import Building, add_meter, create_building
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)
SILENT_FOR = {"70000000": 1 * HOUR, "70000001": 30 * HOUR, "70000002": 60 * HOUR}


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """Three heat meters, silent for 1, 30 and 60 hours; the last one has an alert. It has a water meter, never seen."""
    building = await create_building(engine)
    for serial, silent_for in SILENT_FOR.items():
        state = "stale" if silent_for > 48 * HOUR else "fresh"
        await set_last_reading(engine, building.meters[serial], utc_now() - silent_for, state=state)
    alert_id = await add_alert(engine, building, installation_id=building.meters["70000002"])
    await change(engine, "UPDATE installation_status SET alert_id = :id WHERE state = 'stale'", id=alert_id)
    await add_meter(engine, building, "80000000", medium="cold_water", unit_of_measure="m3", installed_at=utc_now())
    return building


async def previewed(client: httpx2.AsyncClient, caller: dict[str, str], body: Mapping[str, Any]) -> Any:
    answer = await client.post("/policies/preview", headers=caller, json=dict(body))
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(preview: Any) -> tuple[int, list[str], list[str]]:
    """How many it holds for, and the serials of those that would be in another state."""
    changed = []
    for name in ("becoming_stale", "no_longer_stale"):
        serials = [one["meter_serial"] for one in preview[name]["sample"]]
        assert len(serials) == preview[name]["count"]
        changed.append(serials)
    return preview["installations"], *changed


async def test_it_says_what_would_be_stale_and_what_no_longer_and_shows_where(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ours = headers(building.tenant_id)
    assert told(await previewed(client, ours, {"policy": {"stale_after": "P1D"}})) == (4, ["70000001"], [])
    assert told(await previewed(client, ours, {"policy": {"stale_after": "P4D"}})) == (4, [], ["70000002"])
    shorter = await previewed(client, ours, {"policy": {"stale_after": "PT30M", "medium": "heat"}})
    assert told(shorter) == (3, ["70000001", "70000000"], [])
    assert shorter["becoming_stale"]["sample"][0] == {
        "id": str(building.meters["70000001"]),
        "meter_serial": "70000001",
        "medium": "heat",
        "property_id": str(building.property_id),
        "property_name": building.property_name,
        "property_address": "Testvej 1, 8000 Aarhus",
        "unit_label": "1. tv",
        "last_reading_at": shorter["becoming_stale"]["sample"][0]["last_reading_at"],
    }


async def test_it_looks_at_the_policy_that_would_hold_and_at_no_less_specific_one(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ours = headers(building.tenant_id)
    made = await client.post(
        "/policies", headers=ours, json={"stale_after": "P9D", "property_id": str(building.property_id)}
    )
    of_property = made.json()["id"]
    # The property's holds for all: one of the tenant changes nothing, one of a meter only that.
    assert told(await previewed(client, ours, {"policy": {"stale_after": "PT1M"}})) == (0, [], [])
    of_meter = {"stale_after": "PT1M", "installation_id": str(building.meters["70000000"])}
    assert told(await previewed(client, ours, {"policy": of_meter})) == (1, ["70000000"], [])
    # In place of the property's, it holds for one; for the others the tenant's limit would.
    replaced = {"policy_id": of_property, "policy": of_meter}
    assert told(await previewed(client, ours, replaced)) == (4, ["70000000"], [])
    longer = {"stale_after": "P8D", "property_id": str(building.property_id)}
    assert told(await previewed(client, ours, {"policy_id": of_property, "policy": longer})) == (4, [], ["70000002"])
    # What the target has already would give way.
    assert told(await previewed(client, ours, {"policy": longer})) == (4, [], ["70000002"])
    assert told(await previewed(client, ours, {"policy_id": of_property})) == (4, [], [])


async def test_quiet_times_and_grace_count_as_they_do_for_the_sweep(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ours = headers(building.tenant_id)
    assert told(await previewed(client, ours, {"policy": {"stale_after": "PT1M"}}))[1] == ["70000001", "70000000"]
    # Registered today: all are new.
    assert told(await previewed(client, ours, {"policy": {"stale_after": "PT1M", "grace": "P1D"}}))[1] == []
    # The only day that counts lies further back than all but the stale one's silence.
    days = [one for one in range(1, 8) if one != (utc_now() + timedelta(days=3)).isoweekday()]
    quiet = {"stale_after": "PT1M", "quiet_weekdays": days, "time_zone": "UTC"}
    assert told(await previewed(client, ours, {"policy": quiet})) == (4, [], ["70000002"])


async def test_it_changes_nothing_and_a_reader_may_ask(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    async def everything() -> list[Any]:
        async with engine.connect() as connection:
            statuses = (await connection.execute(text("SELECT * FROM installation_status ORDER BY 1"))).all()
            return [*statuses, *(await connection.execute(text("SELECT * FROM policy"))).all()]

    before = await everything()
    reader = headers(building.tenant_id, scope="alerts:read")
    await previewed(client, reader, {"policy": {"stale_after": "PT1M"}})
    assert await everything() == before


async def test_it_keeps_to_the_callers_reach(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    elsewhere, theirs = await building_beside(engine, building), await create_building(engine)
    ours, narrowed = headers(building.tenant_id), headers(building.tenant_id, property_ids=[building.property_id])
    of_tenant = {"policy": {"stale_after": "P1D"}}
    assert (await previewed(client, ours, of_tenant))["installations"] == 5
    answer = await client.post("/policies/preview", headers=narrowed, json=of_tenant)
    assert answer.status_code == 403
    for caller, foreign in ((ours, theirs), (narrowed, elsewhere)):
        of_it = {"policy": {"stale_after": "P1D", "property_id": str(foreign.property_id)}}
        answer = await client.post("/policies/preview", headers=caller, json=of_it)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "policy.property_id")
    made = await client.post("/policies", headers=headers(theirs.tenant_id), json={"stale_after": "P1D"})
    for policy_id in (made.json()["id"], str(uuid4())):
        answer = await client.post("/policies/preview", headers=ours, json={"policy_id": policy_id})
        assert (answer.status_code, answer.json()["detail"]) == (404, "No such policy.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "policy"),
        ({"policy": {}}, "policy.stale_after"),
        ({"policy": {"stale_after": "PT0S"}}, "policy.stale_after"),
        ({"policy": {"stale_after": "P1D", "why": 1}}, "policy.why"),
    ],
)
async def test_what_cannot_be_is_refused_by_the_way_to_its_field(
    *, client: httpx2.AsyncClient, headers: Headers, building: Building, body: dict[str, Any], field: str
) -> None:
    answer = await client.post("/policies/preview", headers=headers(building.tenant_id), json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_what_is_behind_a_gateway_that_would_be_silent_is_told_apart_and_so_is_the_gateway(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    ours = headers(building.tenant_id)
    heard_at = utc_now() - 20 * HOUR
    await long_registered(engine, utc_now())
    await hear_gateway(engine, building.gateway_id, heard_at)
    # Three quarters of a day: it has been silent for longer.
    shorter = await previewed(client, ours, {"policy": {"stale_after": "P1D", "medium": "heat"}})
    assert told(shorter) == (3, [], [])
    assert [one["meter_serial"] for one in shorter["suppressed"]["sample"]] == ["70000001"]
    assert shorter["gateways_becoming_silent"] == {
        "count": 1,
        "sample": [
            {
                "id": building.gateway_id,
                "name": "In the cellar",
                "last_heard_at": shorter["gateways_becoming_silent"]["sample"][0]["last_heard_at"],
            }
        ],
    }
    # Of 29 hours: it has not, but one of its meters has.
    longer = await previewed(client, ours, {"policy": {"stale_after": "PT29H", "medium": "heat"}})
    assert told(longer) == (3, ["70000001"], [])
    assert (longer["suppressed"]["count"], longer["gateways_becoming_silent"]["count"]) == (0, 0)
    # It is silent by a limit that was shorter: now it would be back, and its meters be judged afresh.
    await change(engine, "UPDATE gateway_status SET state = 'silent'")
    back = await previewed(client, ours, {"policy": {"stale_after": "PT29H", "medium": "heat"}})
    assert told(back) == (3, [], [])
    assert [one["id"] for one in back["gateways_no_longer_silent"]["sample"]] == [building.gateway_id]
    # The preview of one in whose sight no meter of that gateway is knows nothing of it.
    beside = await building_beside(engine, building)
    narrowed = headers(building.tenant_id, property_ids=[beside.property_id])
    of_beside = {"policy": {"stale_after": "P1D", "property_id": str(beside.property_id)}}
    assert (await previewed(client, narrowed, of_beside))["gateways_no_longer_silent"]["count"] == 0


async def test_one_preview_of_a_tenant_is_made_at_a_time_and_holds_up_nothing_else_of_it(
    settings: AlertsSettings,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.alerts.api.policies.SHARE_WAIT_S", 0.3)
    ours, asked = headers(building.tenant_id), {"policy": {"stale_after": "P1D"}}
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        async with engine.begin() as blocker:
            await blocker.execute(text("LOCK TABLE gateway_heard IN ACCESS EXCLUSIVE MODE"))
            previews = [
                asyncio.create_task(client.post("/policies/preview", headers=ours, json=asked)) for _ in range(8)
            ]
            async with asyncio.timeout(30):
                refused = [await one for one in islice(asyncio.as_completed(previews), 7)]
                assert (await client.get("/policies", headers=ours)).status_code == 200
        assert {(one.status_code, one.headers["retry-after"]) for one in refused} == {(429, "5")}
        answers = await asyncio.gather(*previews)
        assert [one.status_code for one in answers].count(200) == 1
        assert (await client.post("/policies/preview", headers=ours, json=asked)).status_code == 200
