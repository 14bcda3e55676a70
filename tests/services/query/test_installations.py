"""`GET /installations` and `/installations/{id}`: state and latest reading of each."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import set_status
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def fleet(engine: AsyncEngine) -> tuple[Building, list[UUID]]:
    """Seven meters, and their ids in the order of the list: never seen, then by last reading; two share a time."""
    building = await create_building(engine, meters=7)
    never, never_and_stale, old, *same_time, new, newest = building.installation_ids
    await set_status(engine, never_and_stale, state="stale")
    await set_status(engine, old, state="stale", last_reading_at=NOON - timedelta(days=9))
    for installation in same_time:
        await set_status(engine, installation, state="fresh", last_reading_at=NOON)
    await set_status(engine, new, state="fresh", last_reading_at=NOON + timedelta(microseconds=1))
    await set_status(engine, newest, state="fresh", last_reading_at=NOON + timedelta(hours=1))
    return building, [*sorted([never, never_and_stale]), old, *sorted(same_time), new, newest]


async def walk(client: httpx2.AsyncClient, url: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """All items of the list at `url`, page by page."""
    items: list[dict[str, Any]] = []
    page = (await client.get(url, headers=headers)).json()
    while True:
        items += page["items"]
        assert (page["next_cursor"] is not None) == page["has_next"]
        if not page["has_next"]:
            return items
        page = (await client.get(f"{url}&cursor={page['next_cursor']}", headers=headers)).json()


async def test_an_installation_has_its_place_its_state_and_its_latest_reading(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=1)
    (installation,) = building.installation_ids
    await set_status(engine, installation, state="fresh", last_reading_at=NOON)
    async with engine.connect() as connection:
        since = await connection.scalar(text("SELECT state_since FROM installation_status"))
        house = await connection.scalar(text("SELECT name FROM property"))
    assert since is not None
    answer = await client.get("/installations", headers=headers(building.tenant_id))
    assert answer.status_code == 200
    expected = {
        "id": str(installation),
        "meter_serial": "70000000",
        "medium": "heat",
        "unit_of_measure": "kWh",
        "installed_at": "2024-01-01T00:00:00Z",
        "gateway_id": building.gateway_id,
        "property_id": str(building.property_id),
        "property_name": house,
        "property_address": "Testvej 1, 8000 Aarhus",
        "unit_id": str(building.unit_id),
        "unit_label": "1. tv",
        "state": "fresh",
        "state_since": since.isoformat().replace("+00:00", "Z"),
        "latest_reading": {
            "timestamp": "2026-11-01T12:00:00Z",
            "value": 1.5,
            "rssi_dbm": -70,
            "battery_level_pct": 96,
        },
    }
    assert answer.json() == {"items": [expected], "next_cursor": None, "has_next": False}
    one = await client.get(f"/installations/{installation}", headers=headers(building.tenant_id))
    history = {"deleted_at": None, "replaces_id": None, "replaced_by_id": None}
    assert (one.status_code, one.json()) == (200, expected | history)


async def test_one_that_was_never_seen_has_no_latest_reading(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=1)
    (item,) = (await client.get("/installations", headers=headers(building.tenant_id))).json()["items"]
    assert (item["state"], item["latest_reading"]) == ("never_seen", None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 1000])
async def test_never_seen_come_first_then_the_longest_silent_whatever_the_page_size(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, limit: int
) -> None:
    building, in_order = await fleet(engine)
    items = await walk(client, f"/installations?limit={limit}", headers(building.tenant_id))
    assert [item["id"] for item in items] == [str(installation) for installation in in_order]


@pytest.mark.parametrize(("stale", "states"), [("true", {"stale"}), ("false", {"fresh", "never_seen"})])
async def test_stale_divides_the_list_in_two(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, stale: str, states: set[str]
) -> None:
    building, in_order = await fleet(engine)
    everything = await walk(client, "/installations?limit=1000", headers(building.tenant_id))
    part = await walk(client, f"/installations?limit=1&stale={stale}", headers(building.tenant_id))
    assert part == [item for item in everything if item["state"] in states]
    assert 0 < len(part) < len(in_order)


async def test_a_meter_that_was_taken_out_is_in_no_list_and_found_by_its_id_with_its_successor(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=2)
    old, new = building.installation_ids
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE meter_installation SET deleted_at = :at WHERE id = :id"), {"id": old, "at": NOON}
        )
        await connection.execute(
            text("UPDATE meter_installation SET replaces_id = :old WHERE id = :new"), {"old": old, "new": new}
        )
    caller = headers(building.tenant_id)
    assert [item["id"] for item in await walk(client, "/installations?limit=1", caller)] == [str(new)]
    assert (await client.get("/installations/summary", headers=caller)).json()["total"] == 1
    history = {}
    for installation in (old, new):
        answer = await client.get(f"/installations/{installation}", headers=caller)
        assert answer.status_code == 200
        history[installation] = [answer.json()[name] for name in ("deleted_at", "replaces_id", "replaced_by_id")]
    assert history == {old: ["2026-11-01T12:00:00Z", None, str(new)], new: [None, str(old), None]}


async def test_another_tenants_installation_cannot_be_told_from_one_that_does_not_exist(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    theirs = await create_building(engine)
    stranger = headers((await create_building(engine, meters=0)).tenant_id)
    assert (await client.get("/installations", headers=stranger)).json()["items"] == []
    foreign = await client.get(f"/installations/{theirs.installation_ids[0]}", headers=stranger)
    absent = await client.get(f"/installations/{uuid4()}", headers=stranger)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


async def test_a_cursor_is_good_only_for_its_own_list_and_tenant(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=3)
    own, other = headers(building.tenant_id), headers((await create_building(engine)).tenant_id)
    cursor = (await client.get("/installations?limit=1", headers=own)).json()["next_cursor"]
    assert (await client.get(f"/installations?cursor={cursor}", headers=own)).status_code == 200
    for url, caller in [
        (f"/installations?cursor={cursor}", other),
        (f"/installations?stale=false&cursor={cursor}", own),
        (f"/properties?cursor={cursor}", own),
    ]:
        answer = await client.get(url, headers=caller)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]
