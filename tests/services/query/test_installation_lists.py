"""Filters, sorts and counts of installations, against a list worked out without a database."""

from collections import Counter
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.queries import installation_filters, installations
from shared.models import InstallationState, Medium
from tests.services.query.fleet import Mounted, create_fleet, in_order, let_through
from tests.support.tokens import Headers

SORTS = ("longest_silent", "latest_reading", "meter_serial")
Filters = list[tuple[str, Any]]


@pytest.fixture
async def fleet(engine: AsyncEngine) -> tuple[UUID, list[Mounted]]:
    await create_fleet(engine, installations=5, seed=2)  # another tenant's
    return await create_fleet(engine, installations=60, seed=1)


async def walk(
    client: httpx2.AsyncClient, headers: dict[str, str], parameters: Filters, *, limit: int
) -> list[dict[str, Any]]:
    """All items of the list, page by page along the links."""
    items: list[dict[str, Any]] = []
    answer = await client.get("/installations", params=[*parameters, ("limit", limit)], headers=headers)
    while True:
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        assert len(page["items"]) == limit or not page["has_next"]
        if "next" not in answer.links:
            assert (page["has_next"], page["next_cursor"]) == (False, None)
            return items
        answer = await client.get(answer.links["next"]["url"], headers=headers)


def any_filters(random: Random, fleet: list[Mounted]) -> Filters:
    """Some filters, each with one or two values that are found in `fleet`, or nearly."""
    one, other = random.choice(fleet), random.choice(fleet)
    found = (one, other)
    choices: dict[str, list[Any]] = {
        "state": [each.state.value for each in found],
        "stale": [random.choice(["true", "false"])],
        "medium": [random.choice(list(Medium)).value, one.medium.value],
        "property_id": [each.property_id for each in found],
        "unit_id": [each.unit_id for each in found],
        "gateway_id": [each.gateway_id for each in found if each.gateway_id is not None],
        "q": [random.choice([*one.texts, one.serial[1:3], one.serial.upper(), "sØGADE", "%", "_", "\\", "gade 9"])],
    }
    names = random.sample(sorted(choices), random.randrange(4))
    return [(name, value) for name in names for value in choices[name][: random.randint(1, 2)]]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_gives_each_that_the_filters_let_through_once_and_in_order(
    client: httpx2.AsyncClient,
    headers: Headers,
    fleet: tuple[UUID, list[Mounted]],
    monkeypatch: pytest.MonkeyPatch,
    sort: str,
) -> None:
    tenant_id, everything = fleet
    random, ways = Random(sort), Random(sort)
    lengths = set()
    for _ in range(40):
        # Each way to find them must give the same.
        monkeypatch.setattr(installations, "NEAR_ROWS", ways.choice([1, 5, 20, 1000]))
        monkeypatch.setattr(installation_filters, "FEW_PROPERTIES", ways.choice([0, 4]))
        filters = any_filters(random, everything)
        found = await walk(
            client, headers(tenant_id), [*filters, ("sort", sort)], limit=random.choice([1, 2, 7, 20, 100])
        )
        expected = in_order([one for one in everything if let_through(one, filters)], sort)
        assert [item["id"] for item in found] == [str(one.id) for one in expected], filters
        assert [item["state"] for item in found] == [one.state for one in expected]
        lengths.add(len(found))
    assert {0, len(everything)} < lengths


async def test_the_summary_counts_what_the_list_has(
    client: httpx2.AsyncClient,
    headers: Headers,
    fleet: tuple[UUID, list[Mounted]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenant_id, everything = fleet
    random, ways = Random(0), Random(0)
    for _ in range(30):
        monkeypatch.setattr(installation_filters, "FEW_PROPERTIES", ways.choice([0, 4]))
        filters = [(name, value) for name, value in any_filters(random, everything) if name not in {"state", "stale"}]
        answer = await client.get("/installations/summary", params=filters, headers=headers(tenant_id))
        expected = [one for one in everything if let_through(one, filters)]
        assert answer.json() == {
            **counts(expected),
            "by_medium": [
                {**counts([one for one in expected if one.medium == medium]), "medium": medium}
                for medium in sorted({one.medium for one in expected})
            ],
        }


def counts(installations: list[Mounted]) -> dict[str, int]:
    of_state = Counter(one.state for one in installations)
    return {"total": len(installations), **{state.value: of_state[state] for state in InstallationState}}


async def test_a_cursor_is_good_only_for_its_own_sort_and_filters(
    client: httpx2.AsyncClient, headers: Headers, fleet: tuple[UUID, list[Mounted]]
) -> None:
    tenant_id, everything = fleet
    caller = headers(tenant_id)
    base: Filters = [("limit", 1), ("state", "fresh"), ("state", "stale"), ("sort", "latest_reading")]
    cursor = (await client.get("/installations", params=base, headers=caller)).json()["next_cursor"]
    again = [("state", "stale"), ("state", "fresh"), ("sort", "latest_reading"), ("cursor", cursor)]
    assert (await client.get("/installations", params=again, headers=caller)).status_code == 200
    others: list[Filters] = [
        [("state", "fresh"), ("state", "stale"), ("cursor", cursor)],
        [("state", "fresh"), ("sort", "latest_reading"), ("cursor", cursor)],
        [*again, ("medium", "heat")],
        [*again, ("q", "a")],
        [*again, ("property_id", everything[0].property_id)],
        [*again, ("unit_id", everything[0].unit_id)],
        [*again, ("gateway_id", "GW-1")],
    ]
    for parameters in others:
        answer = await client.get("/installations", params=parameters, headers=caller)
        assert answer.status_code == 400, parameters
        assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("route", ["/installations", "/installations/summary"])
async def test_spaces_pasted_along_are_no_part_of_the_sought_text(
    client: httpx2.AsyncClient, headers: Headers, fleet: tuple[UUID, list[Mounted]], route: str
) -> None:
    tenant_id, everything = fleet
    serial = everything[0].serial
    pasted, typed, foreign = [
        (await client.get(route, params={"q": sought}, headers=headers(tenant_id))).content
        for sought in (f" {serial}\t\u00a0", serial, "nowhere to be found")
    ]
    assert pasted == typed != foreign


@pytest.mark.parametrize("name", ["property_id", "unit_id", "gateway_id"])
async def test_a_foreign_id_in_a_filter_finds_nothing_as_an_absent_one_does(
    client: httpx2.AsyncClient, headers: Headers, fleet: tuple[UUID, list[Mounted]], engine: AsyncEngine, name: str
) -> None:
    tenant_id, _ = fleet
    _, theirs = await create_fleet(engine, installations=5, seed=3)
    foreign = next(getattr(one, name) for one in theirs if getattr(one, name) is not None)
    absent = "GW-none" if name == "gateway_id" else uuid4()
    for route in ("/installations", "/installations/summary"):
        answers = [
            (await client.get(route, params={name: str(value)}, headers=headers(tenant_id))).content
            for value in (foreign, absent)
        ]
        assert answers[0] == answers[1]
        assert str(theirs[0].id).encode() not in answers[0]


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/installations?state=gone", "state"),
        ("/installations?stale=maybe", "stale"),
        ("/installations?medium=heat&medium=beer", "medium"),
        ("/installations?property_id=no-uuid", "property_id"),
        ("/installations?gateway_id=GW.1", "gateway_id"),
        (f"/installations?{'&'.join(['medium=heat'] * 101)}", "medium"),
        ("/installations?q=a%00b", "q"),
        (f"/installations?q={'a' * 201}", "q"),
        ("/installations?sort=value", "sort"),
        ("/installations/summary?state=stale", "state"),
    ],
    ids=range(10),
)
async def test_a_filter_that_is_none_is_named(
    client_without_database: httpx2.AsyncClient, headers: Headers, url: str, field: str
) -> None:
    answer = await client_without_database.get(url, headers=headers(uuid4()))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
