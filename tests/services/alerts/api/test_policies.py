"""`/policies`: what they are of, what they may say, and who may change them."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.settings import AlertsSettings
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.api.data import building_beside
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

FULL: dict[str, Any] = {
    "stale_after": "P3D",
    "medium": "heat_cost_allocator",
    "quiet_weekdays": [7, 6, 6],
    "quiet_from": "19:00",
    "quiet_until": "07:00:30",
    "time_zone": "Europe/Copenhagen",
    "grace": "P1W",
    "remind_every": "PT36H",
    "note": "They rest at weekends.",
}


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


def target(building: Building, kind: str) -> dict[str, Any]:
    return {
        "installation_id": {"installation_id": str(building.installation_ids[0])},
        "property_id": {"property_id": str(building.property_id)},
        "medium": {"medium": "heat"},
        "tenant": {},
    }[kind]


KINDS = ("installation_id", "property_id", "medium", "tenant")


async def test_a_policy_is_made_found_replaced_and_removed(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ida = headers(building.tenant_id, subject="ida")
    made = await client.post("/policies", headers=ida, json=FULL)
    assert made.status_code == 201
    policy = made.json()
    assert made.headers["Location"] == f"/policies/{policy['id']}"
    assert {name: policy[name] for name in policy.keys() - {"id", "created_at", "updated_at"}} == {
        "installation_id": None,
        "property_id": None,
        "medium": "heat_cost_allocator",
        "stale_after": "P3D",
        "quiet_weekdays": [6, 7],
        "quiet_from": "19:00:00",
        "quiet_until": "07:00:30",
        "time_zone": "Europe/Copenhagen",
        "grace": "P7D",
        "remind_every": "P1DT43200S",
        "note": "They rest at weekends.",
        "updated_by": "ida",
    }
    assert policy["created_at"] == policy["updated_at"]
    url = made.headers["Location"]
    assert (await client.get(url, headers=ida)).json() == policy
    answered = {name: policy[name] for name in FULL}
    again = await client.put(url, headers=headers(building.tenant_id, subject="ole"), json=answered)
    assert again.json() == {**policy, "updated_at": again.json()["updated_at"], "updated_by": "ole"}
    shorter = await client.put(url, headers=ida, json={"stale_after": "PT36H"})
    assert shorter.json() == {
        **dict.fromkeys(policy),
        "id": policy["id"],
        "stale_after": "P1DT43200S",
        "quiet_weekdays": [],
        "grace": "P0D",
        "created_at": policy["created_at"],
        "updated_at": shorter.json()["updated_at"],
        "updated_by": "ida",
    }
    assert shorter.json()["updated_at"] > policy["updated_at"]
    assert (await client.delete(url, headers=ida)).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await client.request(method, url, headers=ida)).status_code == 404
    assert (await client.put(url, headers=ida, json=FULL)).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_policy_of_the_same_is_a_conflict_that_names_the_first(
    client: httpx2.AsyncClient, headers: Headers, building: Building, kind: str
) -> None:
    ours = headers(building.tenant_id)
    wanted = {"stale_after": "P1D", **target(building, kind)}
    first = (await client.post("/policies", headers=ours, json=wanted)).json()["id"]
    gas = (await client.post("/policies", headers=ours, json={"stale_after": "P1D", "medium": "gas"})).json()["id"]
    for answer in (
        await client.post("/policies", headers=ours, json=wanted),
        await client.put(f"/policies/{gas}", headers=ours, json=wanted),
    ):
        assert answer.status_code == 409
        assert first in answer.json()["detail"]


async def test_the_list_has_every_policy_page_by_page_and_filters_choose_by_what_they_are_of(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ours = headers(building.tenant_id)
    made = {}
    for kind in KINDS:
        answer = await client.post("/policies", headers=ours, json={"stale_after": "P1D", **target(building, kind)})
        made[kind] = answer.json()

    async def listed(query: str) -> list[str]:
        found: list[str] = []
        url: str | None = f"/policies?limit=1&{query}"
        while url is not None:
            answer = await client.get(url, headers=ours)
            found += [item["id"] for item in answer.json()["items"]]
            url = answer.headers["Link"].partition(">")[0][1:] if answer.json()["has_next"] else None
        return found

    assert await listed("") == sorted(policy["id"] for policy in made.values())
    assert await listed(f"installation_id={building.installation_ids[0]}") == [made["installation_id"]["id"]]
    assert await listed(f"property_id={building.property_id}&property_id={uuid4()}") == [made["property_id"]["id"]]
    assert await listed("medium=heat&medium=gas") == [made["medium"]["id"]]
    assert await listed("medium=gas") == []


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "stale_after", "Field required"),
    ({"stale_after": "P0D"}, "stale_after", "longer than nothing"),
    ({"stale_after": "P3601D"}, "stale_after", "at most P3600D"),
    ({"stale_after": "P1M"}, "stale_after", "ISO 8601 duration"),
    ({"stale_after": "PT1.5H"}, "stale_after", "ISO 8601 duration"),
    ({"stale_after": "P"}, "stale_after", "ISO 8601 duration"),
    ({"stale_after": "P1DT"}, "stale_after", "ISO 8601 duration"),
    ({"stale_after": 172800}, "stale_after", "ISO 8601 duration"),
    ({"stale_after": "P1D", "grace": "-P1D"}, "grace", "ISO 8601 duration"),
    ({"stale_after": "P1D", "grace": "P3601D"}, "grace", "at most P3600D"),
    ({"stale_after": "P1D", "remind_every": "PT59M59S"}, "remind_every", "at least PT1H"),
    ({"stale_after": "P1D", "remind_every": "P90DT1S"}, "remind_every", "at most P90D"),
    ({"stale_after": "P1D", "remind_every": 3600}, "remind_every", "ISO 8601 duration"),
    ({"stale_after": "P1D", "quiet_weekdays": [8]}, "quiet_weekdays.0", "less than or equal to 7"),
    ({"stale_after": "P1D", "quiet_weekdays": [0]}, "quiet_weekdays.0", "greater than or equal to 1"),
    ({"stale_after": "P1D", "quiet_weekdays": ["6"]}, "quiet_weekdays.0", "valid integer"),
    ({"stale_after": "P1D", "quiet_weekdays": [1, 2, 3, 4, 5, 6, 7]}, "quiet_weekdays", "at most 6 items"),
    ({"stale_after": "P1D", "quiet_from": "19:00"}, "quiet_until", "is missing beside quiet_from"),
    ({"stale_after": "P1D", "quiet_until": "19:00"}, "quiet_from", "is missing beside quiet_until"),
    ({"stale_after": "P1D", "quiet_from": "19:00", "quiet_until": "19:00"}, "quiet_until", "different times"),
    ({"stale_after": "P1D", "quiet_from": "00:00:02", "quiet_until": "00:00:01"}, "quiet_until", "one hour"),
    ({"stale_after": "P1D", "quiet_from": "T1234", "quiet_until": "07:00"}, "quiet_from", "time of day"),
    ({"stale_after": "P1D", "quiet_from": "12:34,56", "quiet_until": "07:00"}, "quiet_from", "time of day"),
    ({"stale_after": "P1D", "quiet_from": "24:00", "quiet_until": "07:00"}, "quiet_from", "time of day"),
    ({"stale_after": "P1D", "quiet_from": "19:00Z", "quiet_until": "07:00"}, "quiet_from", "time of day"),
    ({"stale_after": "P1D", "time_zone": "Europe/Atlantis"}, "time_zone", "IANA"),
    ({"stale_after": "P1D", "time_zone": "../../etc/passwd"}, "time_zone", "pattern"),
    ({"stale_after": "P1D", "note": "x" * 1001}, "note", "at most 1000 characters"),
    ({"stale_after": "P1D", "note": "\0"}, "note", "pattern"),
    ({"stale_after": "P1D", "medium": "beer"}, "medium", "Input should be"),
    ({"stale_after": "P1D", "medium": "gas", "property_id": str(uuid4())}, "medium", "property_id is given too"),
    ({"stale_after": "P1D", "property_id": "no-uuid"}, "property_id", "valid UUID"),
    ({"stale_after": "P1D", "stale-after": "P1D"}, "stale-after", "Unexpected keyword argument"),
]


@pytest.mark.parametrize(("wanted", "field", "says"), BAD, ids=range(len(BAD)))
async def test_what_a_policy_cannot_be_is_refused_by_the_name_of_its_field(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    building: Building,
    wanted: dict[str, Any],
    field: str,
    says: str,
) -> None:
    answer = await client.post("/policies", headers=headers(building.tenant_id), json=wanted)
    assert answer.status_code == 422, answer.text
    assert [(error["location"], error["field"]) for error in answer.json()["errors"]] == [("body", field)]
    assert says in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("kind", ["installation_id", "property_id"])
async def test_what_another_tenant_has_is_no_target_as_what_nobody_has(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, kind: str
) -> None:
    theirs = await create_building(engine)
    elsewhere = await building_beside(engine, building)
    url = (await client.post("/policies", headers=headers(building.tenant_id), json={"stale_after": "P1D"})).headers[
        "Location"
    ]
    whole, narrowed = headers(building.tenant_id), headers(building.tenant_id, property_ids=[building.property_id])
    for caller, foreign in ((whole, theirs), (narrowed, elsewhere)):
        for method, at in (("POST", "/policies"), ("PUT", url)):
            if caller is narrowed and method == "PUT":
                continue  # it is of all
            answers = [
                (await client.request(method, at, headers=caller, json={"stale_after": "P1D", kind: one})).text
                for one in (str(uuid4()), target(foreign, kind)[kind])
            ]
            assert answers[0] == answers[1]
            assert f"there is no such {kind.removesuffix('_id')}" in answers[0]


async def test_a_narrowed_caller_sees_what_concerns_it_and_changes_what_is_of_its_properties_only(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    whole, narrowed = headers(building.tenant_id), headers(building.tenant_id, property_ids=[building.property_id])
    elsewhere = await building_beside(engine, building)
    limit = {"stale_after": "P1D"}
    of_all = [
        (await client.post("/policies", headers=whole, json={**limit, **it})).json()["id"]
        for it in (target(building, "medium"), target(building, "tenant"))
    ]
    there = [
        (await client.post("/policies", headers=whole, json={**limit, **it})).json()["id"]
        for it in (target(elsewhere, "installation_id"), target(elsewhere, "property_id"))
    ]
    here = [
        await client.post("/policies", headers=narrowed, json={**limit, **it})
        for it in (target(building, "installation_id"), target(building, "property_id"))
    ]
    assert [one.status_code for one in here] == [201, 201]
    seen = (await client.get("/policies", headers=narrowed)).json()["items"]
    assert {one["id"] for one in seen} == {*of_all, *(one.json()["id"] for one in here)}
    for policy_id in there:
        for method in ("GET", "PUT", "DELETE"):
            answer = await client.request(method, f"/policies/{policy_id}", headers=narrowed, json=limit)
            assert answer.status_code == 404
    refused = [
        await client.post("/policies", headers=narrowed, json={**limit, "medium": "gas"}),
        await client.put(here[0].headers["Location"], headers=narrowed, json=limit),
        *[await client.put(f"/policies/{one}", headers=narrowed, json=limit) for one in of_all],
        *[await client.delete(f"/policies/{one}", headers=narrowed) for one in of_all],
    ]
    for answer in refused:
        assert (answer.status_code, "narrowed" in answer.json()["detail"]) == (403, True)
    for one in here:
        assert (
            await client.put(
                one.headers["Location"],
                headers=narrowed,
                json=limit | {name: one.json()[name] for name in ("installation_id", "property_id")},
            )
        ).status_code == 200


async def test_a_changed_policy_lets_alerts_look_again_at_what_it_is_of(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    elsewhere = await building_beside(engine, building)

    async def noted() -> set[Any]:
        """The installations that are to be looked at, which are not any more then."""
        async with engine.begin() as connection:
            found = await connection.execute(
                text(
                    "WITH due AS (SELECT installation_id FROM installation_status WHERE due_at IS NOT NULL FOR UPDATE)"
                    " UPDATE installation_status s SET due_at = NULL FROM due"
                    " WHERE s.installation_id = due.installation_id RETURNING s.installation_id"
                )
            )
            return set(found.scalars())

    await noted()
    ours = headers(building.tenant_id)
    here, everywhere = {*building.installation_ids}, {*building.installation_ids, *elsewhere.installation_ids}
    made = await client.post("/policies", headers=ours, json={"stale_after": "P1D", **target(building, "property_id")})
    assert await noted() == here
    url = made.headers["Location"]
    await client.put(url, headers=ours, json={"stale_after": "P2D", **target(building, "property_id")})
    assert await noted() == here
    reminding = {"stale_after": "P2D", "remind_every": "P1D", **target(building, "property_id")}
    assert (await client.put(url, headers=ours, json=reminding)).json()["remind_every"] == "P1D"
    assert await noted() == set(), "who is told again of a silence is nothing to judge"
    await client.put(url, headers=ours, json={"stale_after": "P2D"})
    assert await noted() == everywhere
    await client.delete(url, headers=ours)
    assert await noted() == everywhere


async def test_a_policy_whose_meters_somebody_else_has_locked_is_to_be_written_again_later(
    settings: AlertsSettings, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    app = create_app(settings.model_copy(update={"callers_timeout_s": 1.0}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        ours = headers(building.tenant_id)
        async with engine.begin() as connection:
            await connection.execute(text("SELECT state FROM installation_status FOR UPDATE"))
            refused = await client.post("/policies", headers=ours, json={"stale_after": "P1D"})
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert refused.headers["retry-after"] == "5"
        assert (await client.post("/policies", headers=ours, json={"stale_after": "P1D"})).status_code == 201
