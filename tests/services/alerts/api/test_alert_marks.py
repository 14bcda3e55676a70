"""What people say of an alert: seen, by whom; and nothing more of it for a while."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.settings import AlertsSettings
from shared.clock import utc_now
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.api.data import NOON, add_alert
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MARKS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "acknowledge", None),
    ("POST", "snooze", {"until": (utc_now() + 30 * DAY).isoformat()}),
    ("DELETE", "snooze", None),
]


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
async def alert_id(engine: AsyncEngine, building: Building) -> UUID:
    return await add_alert(engine, building, installation_id=building.installation_ids[0])


async def test_an_acknowledgement_says_who_and_when_and_the_first_one_stays(
    settings: AlertsSettings, headers: Headers, building: Building, alert_id: UUID
) -> None:
    now = utc_now().replace(microsecond=0)
    app = create_app(settings, clock=lambda: now)
    url = f"/alerts/{alert_id}/acknowledge"
    async with app.router.lifespan_context(app), client_of(app) as client:
        first = await client.post(url, headers=headers(building.tenant_id, subject="ida"), json={"note": "On my way"})
        now += HOUR / 60
        again = await client.post(url, headers=headers(building.tenant_id, subject="ole"))
        one = await client.get(f"/alerts/{alert_id}", headers=headers(building.tenant_id))
    at = (now - HOUR / 60).isoformat().replace("+00:00", "Z")
    assert first.json()["acknowledged"] == {"at": at, "by": "ida", "note": "On my way"}
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json() == one.json()


async def test_a_snooze_lasts_until_its_time_is_replaced_by_another_and_can_be_ended(
    settings: AlertsSettings, headers: Headers, building: Building, alert_id: UUID
) -> None:
    now = utc_now()
    app = create_app(settings, clock=lambda: now)
    ida, ole = [headers(building.tenant_id, subject=who, lifetime=5 * HOUR) for who in ("ida", "ole")]
    url = f"/alerts/{alert_id}/snooze"

    async with app.router.lifespan_context(app), client_of(app) as client:

        async def snoozed() -> list[str]:
            items = (await client.get("/alerts?snoozed=true", headers=ida)).json()["items"]
            return [item["snoozed"]["by"] for item in items]

        async def snooze(who: dict[str, str], until: Any) -> httpx2.Response:
            return await client.post(url, headers=who, json={"until": until.isoformat()})

        assert (await snooze(ida, now + 2 * HOUR)).json()["snoozed"]["by"] == "ida"
        assert await snoozed() == ["ida"]
        assert (await snooze(ole, now + HOUR)).json()["snoozed"]["by"] == "ole"
        assert await snoozed() == ["ole"]
        now += HOUR
        assert await snoozed() == []
        await snooze(ida, now + HOUR)
        for _ in range(2):
            ended = await client.delete(url, headers=ole)
            assert (ended.status_code, ended.json()["snoozed"]) == (200, None)
        assert await snoozed() == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"until": (utc_now() - HOUR).isoformat()}, "up to 90 days from now"),
        ({"until": (utc_now() + timedelta(days=91)).isoformat()}, "up to 90 days from now"),
        ({"until": "2027-01-01T00:00:00"}, "must have an offset"),
        ({"until": 1798761600}, "must be a time"),
        ({}, "Field required"),
    ],
)
async def test_a_snooze_has_a_bounded_end_to_come(
    *,
    body: dict[str, Any],
    says: str,
    client: httpx2.AsyncClient,
    headers: Headers,
    building: Building,
    alert_id: UUID,
) -> None:
    answer = await client.post(f"/alerts/{alert_id}/snooze", headers=headers(building.tenant_id), json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["location"], error["field"]) == ("body", "until")
    assert says in error["detail"]


@pytest.mark.parametrize(("method", "mark", "body"), MARKS)
async def test_of_a_closed_alert_there_is_nothing_to_say(
    *,
    method: str,
    mark: str,
    body: dict[str, Any] | None,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
) -> None:
    closed = await add_alert(engine, building, closed_at=NOON + HOUR)
    before = (await client.get(f"/alerts/{closed}", headers=headers(building.tenant_id))).json()
    answer = await client.request(method, f"/alerts/{closed}/{mark}", headers=headers(building.tenant_id), json=body)
    assert (answer.status_code, answer.json()["status"]) == (409, 409)
    assert "closed" in answer.json()["detail"]
    assert (await client.get(f"/alerts/{closed}", headers=headers(building.tenant_id))).json() == before


@pytest.mark.parametrize(("method", "mark", "body"), MARKS)
async def test_nobody_says_anything_of_what_is_not_theirs_or_without_the_scope(
    *,
    method: str,
    mark: str,
    body: dict[str, Any] | None,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alert_id: UUID,
) -> None:
    theirs = await create_building(engine)
    for caller in (headers(theirs.tenant_id), headers(building.tenant_id, property_ids=[theirs.property_id])):
        of_it = await client.request(method, f"/alerts/{alert_id}/{mark}", headers=caller, json=body)
        of_none = await client.request(method, f"/alerts/{uuid4()}/{mark}", headers=caller, json=body)
        assert (of_it.status_code, of_it.text) == (of_none.status_code, of_none.text)
        assert of_it.status_code == 404
    reader = headers(building.tenant_id, scope="alerts:read")
    answer = await client.request(method, f"/alerts/{alert_id}/{mark}", headers=reader, json=body)
    assert answer.status_code == 403
    async with engine.connect() as connection:
        touched = await connection.execute(
            text("SELECT id FROM alert WHERE acknowledged_at IS NOT NULL OR snoozed_until IS NOT NULL")
        )
        assert touched.all() == []
