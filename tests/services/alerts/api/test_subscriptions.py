"""`/subscriptions`: what can be had, what is refused, what is shown once, and what a change does to what waits."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api.app import callers_database
from services.alerts.operations.subscriptions import AT_MOST
from services.alerts.settings import AlertsSettings
from shared.http.reach import Reach
from tests.services.alerts.standing import change, rows
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_mail, add_webhook
from tests.support.tokens import Headers

HOOK: dict[str, Any] = {"name": "Tickets", "url": "https://Alerts.example.com:443/mbus"}
SECRETS = "SELECT secret, expires_at IS NULL FROM subscription_secret ORDER BY created_at"
WAITING = (
    "INSERT INTO delivery (id, tenant_id, subscription_id, event_type, event, wanted_since)"
    " VALUES (gen_random_uuid(), :tenant, :id, 'installation.stale', '{}', now())"
)


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
def ours(headers: Headers, building: Building) -> dict[str, str]:
    return headers(building.tenant_id)


async def make(client: httpx2.AsyncClient, sent: dict[str, str], **wanted: Any) -> dict[str, Any]:
    answer = await client.post("/subscriptions", json={**HOOK, **wanted}, headers=sent)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/subscriptions/{answer.json()['id']}"
    made = answer.json()
    assert isinstance(made, dict)
    return made


async def test_a_webhook_is_made_with_a_secret_that_is_shown_once(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine
) -> None:
    made = await make(client, ours, media=["water", "heat", "heat"])
    secret = made.pop("secret")
    assert await rows(engine, SECRETS) == [(secret, True)]
    found = (await client.get(f"/subscriptions/{made['id']}", headers=ours)).json()
    assert found == made
    assert found["url"] == "https://alerts.example.com/mbus"
    assert found["media"] == ["heat", "water"]
    assert found["enabled"]
    assert (await client.get("/subscriptions", headers=ours)).json()["items"] == [made]


@pytest.mark.parametrize(
    ("wanted", "field", "says"),
    [
        ({"url": None}, "url", "either this or mail_address"),
        ({"mail_address": "a@example.com"}, "url", "either this or mail_address"),
        ({"url": "http://alerts.example.com/"}, "url", "https"),
        ({"url": "https://127.0.0.1/"}, "url", ""),
        ({"url": "https://2130706433/"}, "url", ""),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url", ""),
        ({"url": "https://localhost/"}, "url", ""),
        ({"language": "da"}, "language", "is of mails"),
        ({"url": None, "mail_address": "a@example.com"}, "mail_address", "sends no mail"),
        ({"event_types": ["pipeline.degraded"]}, "event_types.0", ""),
        ({"media": ["coffee"]}, "media.0", ""),
        ({"property_ids": [str(uuid4())]}, "property_ids", "no such property"),
        ({"name": ""}, "name", ""),
        ({"secret": "whsec_AAAA"}, "secret", ""),
    ],
)
async def test_what_cannot_be_is_a_422_that_names_the_field(
    client: httpx2.AsyncClient, ours: dict[str, str], wanted: dict[str, Any], field: str, says: str
) -> None:
    answer = await client.post("/subscriptions", json={**HOOK, **wanted}, headers=ours)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert says in error["detail"]


async def test_it_is_replaced_as_a_whole_and_what_waits_for_a_disabled_one_is_dropped(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine, building: Building
) -> None:
    made = await make(client, ours, media=["heat"])
    await change(engine, WAITING, tenant=building.tenant_id, id=made["id"])
    url = f"/subscriptions/{made['id']}"
    answer = await client.put(url, json={**HOOK, "name": "Other", "enabled": False}, headers=ours)
    assert answer.status_code == 200
    written = answer.json()
    assert (written["name"], written["media"], written["enabled"], written["disabled_because"]) == (
        "Other",
        [],
        False,
        "by_hand",
    )
    assert await rows(engine, "SELECT dropped_because FROM delivery") == [("disabled",)]
    refused = await client.post(f"{url}/test", headers=ours)
    assert refused.status_code == 409
    again = (await client.put(url, json=HOOK, headers=ours)).json()
    assert (again["enabled"], again["disabled_at"], again["disabled_because"]) == (True, None, None)


async def test_one_that_is_enabled_again_has_failed_at_nothing_and_one_that_is_renamed_has(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine
) -> None:
    made = await make(client, ours)
    failing = "UPDATE subscription SET failures = 7, failing_since = now(), held_until = now()"
    standing = "SELECT failures, failing_since IS NULL, held_until IS NULL FROM subscription"
    url = f"/subscriptions/{made['id']}"
    await change(engine, failing)
    await client.put(url, json={**HOOK, "name": "Other"}, headers=ours)
    assert await rows(engine, standing) == [(7, False, False)]
    await client.put(url, json={**HOOK, "url": "https://elsewhere.example.com/"}, headers=ours)
    assert await rows(engine, standing) == [(0, True, True)]
    await change(engine, f"{failing}, enabled = false, disabled_at = now(), disabled_because = 'failing'")
    again = (await client.put(url, json={**HOOK, "enabled": False}, headers=ours)).json()
    assert again["disabled_because"] == "failing"
    await client.put(url, json=HOOK, headers=ours)
    assert await rows(engine, standing) == [(0, True, True)]


async def test_a_webhook_stays_a_webhook(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine, building: Building
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    answer = await client.put(f"/subscriptions/{mail}", json=HOOK, headers=ours)
    assert answer.status_code == 409
    answer = await client.post(f"/subscriptions/{mail}/rotate-secret", headers=ours)
    assert answer.status_code == 409


async def test_it_is_removed_with_what_waits_for_it_and_its_log_stays(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine, building: Building
) -> None:
    made = await make(client, ours)
    await change(engine, WAITING, tenant=building.tenant_id, id=made["id"])
    url = f"/subscriptions/{made['id']}"
    assert (await client.delete(url, headers=ours)).status_code == 204
    assert (await client.get(url, headers=ours)).status_code == 404
    assert (await client.delete(url, headers=ours)).status_code == 404
    assert (await client.get("/subscriptions", headers=ours)).json()["items"] == []
    assert await rows(engine, "SELECT dropped_because FROM delivery") == [("disabled",)]


async def test_there_is_an_end_to_them(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine, building: Building
) -> None:
    for _ in range(AT_MOST - 1):
        await add_webhook(engine, building.tenant_id)
    last = await make(client, ours)
    assert (await client.post("/subscriptions", json=HOOK, headers=ours)).status_code == 409
    await client.delete(f"/subscriptions/{last['id']}", headers=ours)
    await make(client, ours)


async def test_a_rotation_leaves_two_good_secrets_and_the_next_one_two_as_well(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine
) -> None:
    made = await make(client, ours)
    url = f"/subscriptions/{made['id']}/rotate-secret"
    second = (await client.post(url, headers=ours)).json()
    assert await rows(engine, SECRETS) == [(made["secret"], False), (second["secret"], True)]
    assert await rows(
        engine,
        "SELECT expires_at - now() BETWEEN interval '23 hours' AND interval '1 day' FROM subscription_secret"
        " WHERE expires_at IS NOT NULL",
    ) == [(True,)]
    third = (await client.post(url, json={"keep_previous": "PT0S"}, headers=ours)).json()
    assert await rows(engine, SECRETS) == [(second["secret"], False), (third["secret"], True)]
    too_long = await client.post(url, json={"keep_previous": "P8D"}, headers=ours)
    assert too_long.status_code == 422


async def test_a_test_is_a_delivery_that_waits_for_nothing(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine
) -> None:
    made = await make(client, ours)
    await change(engine, "UPDATE subscription SET failures = 3, held_until = now() + interval '1 hour'")
    assert (await client.get(f"/subscriptions/{made['id']}", headers=ours)).json()["held_until"] is not None
    answer = await client.post(f"/subscriptions/{made['id']}/test", headers=ours)
    assert answer.status_code == 202
    assert await rows(engine, "SELECT failures, held_until FROM subscription") == [(3, None)]
    assert await rows(
        engine,
        "SELECT id, subscription_id, event_type, event #>> '{data,subscription_name}', next_attempt_at < now()"
        " FROM delivery",
    ) == [(UUID(answer.json()["delivery_id"]), UUID(made["id"]), "subscription.test", "Tickets", True)]


async def test_one_test_at_a_time_and_not_too_many(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine
) -> None:
    made = await make(client, ours)
    url = f"/subscriptions/{made['id']}/test"
    assert (await client.post(url, headers=ours)).status_code == 202
    await change(engine, "UPDATE delivery SET created_at = now() - interval '1 minute'")
    refused = await client.post(url, headers=ours)
    assert (refused.status_code, "on its way" in refused.json()["detail"]) == (409, True)
    await change(engine, "UPDATE delivery SET delivered_at = now()")
    assert (await client.post(url, headers=ours)).status_code == 202
    await change(engine, "UPDATE delivery SET delivered_at = now()")
    assert (await client.post(url, headers=ours)).status_code == 409


async def test_one_to_a_property_that_is_gone_can_still_be_disabled(
    client: httpx2.AsyncClient, ours: dict[str, str], engine: AsyncEngine, building: Building
) -> None:
    named = [str(building.property_id)]
    made = await make(client, ours, property_ids=named)
    await change(engine, "UPDATE property SET deleted_at = now()")
    url = f"/subscriptions/{made['id']}"
    answer = await client.put(url, json={**HOOK, "property_ids": named, "enabled": False}, headers=ours)
    assert answer.status_code == 200
    answer = await client.post("/subscriptions", json={**HOOK, "property_ids": named}, headers=ours)
    assert answer.status_code == 422


async def test_a_narrowed_caller_has_subscriptions_to_its_own_properties_alone(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    here, there = str(building.property_id), str(other.property_id)
    narrowed = headers(building.tenant_id, property_ids=[building.property_id])
    all_of_it = headers(building.tenant_id)
    mine = await make(client, narrowed, property_ids=[here])
    for property_ids in ([], [there], [here, there]):
        answer = await client.post("/subscriptions", json={**HOOK, "property_ids": property_ids}, headers=narrowed)
        assert answer.status_code == 403, property_ids
        hidden = await make(client, all_of_it, property_ids=property_ids)
        url = f"/subscriptions/{hidden['id']}"
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret")):
            refused = await client.request(method, url + path, headers=narrowed)
            assert refused.status_code == 404, (method, path)
        refused = await client.put(url, json={**HOOK, "property_ids": [here]}, headers=narrowed)
        assert refused.status_code == 404
    wider = await client.put(
        f"/subscriptions/{mine['id']}", json={**HOOK, "property_ids": [here, there]}, headers=narrowed
    )
    assert wider.status_code == 403
    assert [one["id"] for one in (await client.get("/subscriptions", headers=narrowed)).json()["items"]] == [mine["id"]]
    assert len((await client.get("/subscriptions", headers=all_of_it)).json()["items"]) == 4


async def test_the_face_cannot_read_a_secret(settings: AlertsSettings, engine: AsyncEngine, building: Building) -> None:
    """Only who signs needs it: a fault of the face shows none."""
    await add_webhook(engine, building.tenant_id)
    database = callers_database(settings)
    async with database.open(), database.driver_within(Reach(building.tenant_id)) as connection:
        assert await connection.fetchval("SELECT count(id) FROM subscription_secret") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT secret FROM subscription_secret")
