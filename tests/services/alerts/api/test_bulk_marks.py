"""What people say of all open alerts of a meter, a property or a gateway at once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import bulk_marks
from services.alerts.settings import AlertsSettings
from shared.clock import utc_now
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.api.data import NOON, add_alert, building_beside
from tests.services.alerts.standing import change, rows
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def until(hours: float) -> dict[str, str]:
    return {"until": (utc_now() + hours * HOUR).isoformat()}


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """Three meters behind a gateway."""
    return await create_building(engine)


@pytest.fixture
async def alerts(engine: AsyncEngine, building: Building) -> dict[str, UUID]:
    """Of two of its meters, of its gateway, and one that is closed."""
    first, second, third = building.installation_ids
    return {
        "first": await add_alert(engine, building, installation_id=first),
        "second": await add_alert(engine, building, installation_id=second, opened_at=NOON + HOUR),
        "gateway": await add_alert(engine, building, opened_at=NOON + 2 * HOUR),
        "closed": await add_alert(engine, building, installation_id=third, closed_at=NOON + HOUR),
    }


def of(building: Building, kind: str) -> dict[str, str]:
    named = building.installation_ids[0] if kind == "installation_id" else getattr(building, kind)
    return {kind: str(named)}


KINDS = ("installation_id", "property_id", "gateway_id")


async def snoozed(engine: AsyncEngine) -> set[UUID]:
    return {one for (one,) in await rows(engine, "SELECT id FROM alert WHERE snoozed_until IS NOT NULL")}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("installation_id", ["first"]),
        ("property_id", ["gateway", "second", "first"]),
        ("gateway_id", ["gateway", "second", "first"]),
    ],
)
async def test_all_open_alerts_of_it_are_marked_and_named_from_the_newest_on(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alerts: dict[str, UUID],
    kind: str,
    names: list[str],
) -> None:
    beside = await building_beside(engine, building)
    await add_alert(engine, beside)
    await add_alert(engine, beside, installation_id=beside.installation_ids[0])
    ida = headers(building.tenant_id, subject="ida")
    expected = {"marked": len(names), "alert_ids": [str(alerts[name]) for name in names]}
    for path, body in (("snooze", until(1)), ("snooze", until(2)), ("unsnooze", {}), ("acknowledge", {"note": "I go"})):
        answer = await client.post(f"/alerts/{path}", headers=ida, json={**of(building, kind), **body})
        assert (answer.status_code, answer.json()) == (200, expected), path
    seen = "SELECT id, acknowledged_by, acknowledge_note, snoozed_until FROM alert WHERE acknowledged_at IS NOT NULL"
    assert sorted(await rows(engine, seen)) == sorted((alerts[name], "ida", "I go", None) for name in names)


async def test_who_was_first_to_acknowledge_stays_and_the_last_snooze_holds(
    settings: AlertsSettings, headers: Headers, engine: AsyncEngine, building: Building, alerts: dict[str, UUID]
) -> None:
    now = utc_now()
    app = create_app(settings, clock=lambda: now)
    ida, ole = [headers(building.tenant_id, subject=who) for who in ("ida", "ole")]
    house = of(building, "property_id")
    async with app.router.lifespan_context(app), client_of(app) as client:
        await client.post(f"/alerts/{alerts['first']}/acknowledge", headers=ida)
        await client.post(f"/alerts/{alerts['first']}/snooze", headers=ida, json={"until": (now + DAY).isoformat()})
        now += HOUR / 60
        answer = await client.post("/alerts/acknowledge", headers=ole, json=house)
        assert answer.json()["alert_ids"] == [str(alerts[name]) for name in ("gateway", "second")]
        assert (await client.post("/alerts/acknowledge", headers=ole, json=house)).json() == {
            "marked": 0,
            "alert_ids": [],
        }
        await client.post("/alerts/snooze", headers=ole, json={**house, "until": (now + HOUR).isoformat()})
    marks = "SELECT acknowledged_by, acknowledged_at, snoozed_by, snoozed_until FROM alert WHERE id = :id"
    assert await rows(engine, marks, id=alerts["first"]) == [("ida", now - HOUR / 60, "ole", now + HOUR)]
    assert await rows(engine, marks, id=alerts["gateway"]) == [("ole", now, "ole", now + HOUR)]
    assert await rows(engine, marks, id=alerts["closed"]) == [(None, None, None, None)]


async def test_a_gateway_is_of_a_property_when_all_that_it_is_to_hear_is_there(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, alerts: dict[str, UUID]
) -> None:
    beside = await building_beside(engine, building)
    of_gateway = await add_alert(engine, beside)
    moved = {"gateway": beside.gateway_id, "id": building.installation_ids[2]}
    await change(engine, "UPDATE meter_installation SET gateway_id = :gateway WHERE id = :id", **moved)
    whole = headers(building.tenant_id)
    narrowed = headers(building.tenant_id, property_ids=[building.property_id])
    for caller in (whole, narrowed):
        for house, gateway in ((building, alerts["gateway"]), (beside, of_gateway)):
            if caller is narrowed and house is beside:
                continue
            answer = await client.post("/alerts/snooze", headers=caller, json={**of(house, "property_id"), **until(1)})
            assert str(of_gateway) not in answer.json()["alert_ids"]
            assert (str(gateway) in answer.json()["alert_ids"]) == (house is building)
    # By its name a narrowed caller may, as it may one by one: of its meters those that it sees.
    elsewhere = await add_alert(engine, beside, installation_id=beside.installation_ids[0])
    here = await add_alert(engine, building, installation_id=building.installation_ids[2])
    answer = await client.post("/alerts/snooze", headers=narrowed, json={**of(beside, "gateway_id"), **until(1)})
    assert set(answer.json()["alert_ids"]) == {str(of_gateway), str(here)}
    assert elsewhere not in await snoozed(engine)
    # What was taken out does not count.
    await change(
        engine, "UPDATE meter_installation SET deleted_at = now() WHERE id = :id", id=building.installation_ids[2]
    )
    answer = await client.post("/alerts/snooze", headers=whole, json={**of(beside, "property_id"), **until(1)})
    assert set(answer.json()["alert_ids"]) == {str(of_gateway), str(elsewhere)}


@pytest.mark.parametrize("path", ["acknowledge", "snooze", "unsnooze"])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_not_theirs_is_answered_as_what_nobody_has_and_is_not_marked(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alerts: dict[str, UUID],
    kind: str,
    path: str,
) -> None:
    theirs, beside = await create_building(engine), await building_beside(engine, building)
    until_then = until(1) if path == "snooze" else {}
    nobodys = {kind: "GW-none" if kind == "gateway_id" else str(uuid4())}
    for caller in (headers(theirs.tenant_id), headers(building.tenant_id, property_ids=[beside.property_id])):
        foreign, nothing = [
            await client.post(f"/alerts/{path}", headers=caller, json={**named, **until_then})
            for named in (of(building, kind), nobodys)
        ]
        assert (foreign.status_code, foreign.text) == (422, nothing.text)
        assert foreign.json()["errors"][0]["field"] == kind
    reader = headers(building.tenant_id, scope="alerts:read")
    answer = await client.post(f"/alerts/{path}", headers=reader, json={**of(building, kind), **until_then})
    assert answer.status_code == 403
    marked = "SELECT id FROM alert WHERE snoozed_until IS NOT NULL OR acknowledged_at IS NOT NULL"
    assert await rows(engine, marked) == []
    assert alerts


@pytest.mark.parametrize(
    ("path", "body", "field", "says"),
    [
        ("acknowledge", {}, "installation_id", "or property_id, or gateway_id"),
        ("unsnooze", {}, "installation_id", "or property_id, or gateway_id"),
        ("unsnooze", {"property_id": str(uuid4()), "gateway_id": "GW-1"}, "gateway_id", "property_id is given too"),
        ("unsnooze", {"gateway_id": "GW 1"}, "gateway_id", "pattern"),
        ("acknowledge", {"gateway_id": "GW-1", "note": ""}, "note", "at least 1 character"),
        ("snooze", {"gateway_id": "GW-1"}, "until", "Field required"),
        ("snooze", {"gateway_id": "GW-1", **until(-1)}, "until", "up to 90 days from now"),
        ("snooze", {"gateway_id": "GW-1", **until(91 * 24)}, "until", "up to 90 days from now"),
        ("snooze", {"tenant_id": str(uuid4()), **until(1)}, "tenant_id", "Unexpected keyword argument"),
    ],
)
async def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    path: str,
    body: dict[str, Any],
    field: str,
    says: str,
) -> None:
    answer = await client.post(f"/alerts/{path}", headers=headers(uuid4()), json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert says in answer.json()["errors"][0]["detail"]


async def test_of_many_the_newest_are_named_and_all_are_marked(
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk_marks, "SHOWN", 2)
    made = [
        await add_alert(engine, building, installation_id=one, opened_at=NOON + number * HOUR)
        for number, one in enumerate(building.installation_ids)
    ]
    body = {**of(building, "gateway_id"), **until(1)}
    answer = await client.post("/alerts/snooze", headers=headers(building.tenant_id), json=body)
    assert answer.json() == {"marked": 3, "alert_ids": [str(made[2]), str(made[1])]}
    assert await snoozed(engine) == set(made)


async def test_one_that_is_closed_meanwhile_is_not_marked(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, alerts: dict[str, UUID]
) -> None:
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with engine.connect() as connection:
        close = "UPDATE alert SET closed_at = now(), closed_because = 'heard' WHERE id = :id"
        await connection.execute(text(close), {"id": alerts["second"]})
        marking = asyncio.create_task(
            client.post("/alerts/acknowledge", headers=headers(building.tenant_id), json=of(building, "property_id"))
        )
        async with asyncio.timeout(10), engine.connect() as other:
            while not (await other.execute(waits)).scalar_one():
                await other.rollback()
        await connection.commit()
    assert (await marking).json()["alert_ids"] == [str(alerts[name]) for name in ("gateway", "first")]
