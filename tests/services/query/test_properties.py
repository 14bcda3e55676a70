"""`GET /properties` and `/properties/{id}`: buildings with their units and config."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import Property, PropertyConfig, Unit
from tests.support.registry import create_building
from tests.support.tokens import Headers


async def add_properties(engine: AsyncEngine, tenant_id: UUID, names: list[str]) -> None:
    """A property for each name, with units `a` and `b` and a config."""
    async with create_sessions(engine).begin() as session:
        for name in names:
            house = Property(tenant_id=tenant_id, name=name, address="Testvej 2, 8000 Aarhus")
            session.add(house)
            await session.flush()
            session.add_all([Unit(property_id=house.id, label=label) for label in ("b", "a")])
            session.add(
                PropertyConfig(
                    property_id=house.id,
                    expected_interval=timedelta(minutes=90),
                    billing_start_month=6,
                    time_zone="America/Nuuk",
                )
            )


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the driver sends from now on."""
    sent: list[str] = []
    for name in ("execute", "fetch", "fetchrow", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, name, _noted(getattr(asyncpg.Connection, name), sent))
    return sent


def _noted(send: Callable[..., Awaitable[Any]], sent: list[str]) -> Callable[..., Awaitable[Any]]:
    @wraps(send)
    async def noted(connection: object, statement: str, *arguments: object) -> Any:
        sent.append(statement)
        return await send(connection, statement, *arguments)

    return noted


async def test_a_property_has_its_config_and_its_units_by_label(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant = (await create_building(engine)).tenant_id
    await add_properties(engine, tenant, ["A house"])
    (item, _) = (await client.get("/properties", headers=headers(tenant))).json()["items"]
    assert (item["name"], item["address"]) == ("A house", "Testvej 2, 8000 Aarhus")
    assert item["config"] == {
        "expected_interval": "PT5400S",
        "billing_start_month": 6,
        "time_zone": "America/Nuuk",
    }
    assert [unit["label"] for unit in item["units"]] == ["a", "b"]
    one = await client.get(f"/properties/{item['id']}", headers=headers(tenant))
    assert (one.status_code, one.json()) == (200, item)


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_properties_come_by_name_whatever_the_page_size(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, limit: int
) -> None:
    building = await create_building(engine)
    async with engine.connect() as connection:
        first = str(await connection.scalar(text("SELECT name FROM property")))
    names = ["Ærøgade 1", "Aagade 1", "Zebragade 1", 'Quote\'s "gade" 1', "Bygade 1"]
    await add_properties(engine, building.tenant_id, names)
    async with engine.connect() as connection:
        expected = list(await connection.scalars(text("SELECT name FROM property ORDER BY name")))
    met: list[str] = []
    url = f"/properties?limit={limit}"
    page = (await client.get(url, headers=headers(building.tenant_id))).json()
    while True:
        met += [item["name"] for item in page["items"]]
        if not page["has_next"]:
            break
        page = (await client.get(f"{url}&cursor={page['next_cursor']}", headers=headers(building.tenant_id))).json()
    assert met == expected
    assert sorted(met) == sorted([first, *names])


async def test_fifty_properties_take_as_many_statements_as_one(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, statements: list[str]
) -> None:
    tenant = (await create_building(engine)).tenant_id
    await add_properties(engine, tenant, [f"House {number:02}" for number in range(49)])
    counts = {}
    for limit in (1, 50):
        statements.clear()
        page = (await client.get(f"/properties?limit={limit}", headers=headers(tenant))).json()
        assert len(page["items"]) == limit
        assert all(item["units"] and item["config"] for item in page["items"])
        counts[limit] = len(statements)
    assert counts == {1: 4, 50: 4}  # BEGIN with the tenant, the properties with their configs, the units, COMMIT


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ("søgade", ["Søgade 1", "Søgade 20"]),
        ("GADE 2", ["Bygade 2", "Søgade 20"]),
        ("testvej 2, 8000", ["100% Bolig", "Bygade 2", "Søgade 1", "Søgade 20"]),
        ("0%", ["100% Bolig"]),
        ("\u00a0bygade 2\t ", ["Bygade 2"]),
        ("_", []),
        ("\\", []),
        ("nowhere", []),
    ],
)
async def test_a_search_finds_properties_by_name_and_address_whatever_the_page_size(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, sought: str, found: list[str]
) -> None:
    await add_properties(engine, (await create_building(engine)).tenant_id, ["Søgade 1"])  # another tenant's
    tenant = (await create_building(engine)).tenant_id
    await add_properties(engine, tenant, ["Søgade 20", "Bygade 2", "100% Bolig", "Søgade 1"])
    for limit in (1, 2, 100):
        met: list[str] = []
        answer = await client.get("/properties", params={"q": sought, "limit": limit}, headers=headers(tenant))
        met += [item["name"] for item in answer.json()["items"]]
        while "next" in answer.links:
            answer = await client.get(answer.links["next"]["url"], headers=headers(tenant))
            met += [item["name"] for item in answer.json()["items"]]
        assert met == found


async def test_a_cursor_is_good_only_for_its_own_search(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant = (await create_building(engine)).tenant_id
    await add_properties(engine, tenant, ["A", "B"])
    first = {"q": "Testvej", "limit": "1"}
    cursor = (await client.get("/properties", params=first, headers=headers(tenant))).json()["next_cursor"]
    for sought, status in (("Testvej", 200), ("Test", 400), ("", 400)):
        other = {"q": sought, "cursor": cursor}
        assert (await client.get("/properties", params=other, headers=headers(tenant))).status_code == status


async def test_deleted_properties_and_units_are_gone(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine)
    await add_properties(engine, building.tenant_id, ["A house"])
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE unit SET deleted_at = now() WHERE label = 'a'"))
        await connection.execute(
            text("UPDATE property SET deleted_at = now() WHERE id = :id"), {"id": building.property_id}
        )
    (item,) = (await client.get("/properties", headers=headers(building.tenant_id))).json()["items"]
    assert [unit["label"] for unit in item["units"]] == ["b"]
    gone = await client.get(f"/properties/{building.property_id}", headers=headers(building.tenant_id))
    assert gone.status_code == 404


async def test_another_tenants_property_cannot_be_told_from_one_that_does_not_exist(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    theirs = await create_building(engine)
    own = await create_building(engine)
    stranger = headers(own.tenant_id)
    listed = (await client.get("/properties", headers=stranger)).json()["items"]
    assert [item["id"] for item in listed] == [str(own.property_id)]
    foreign = await client.get(f"/properties/{theirs.property_id}", headers=stranger)
    absent = await client.get(f"/properties/{uuid4()}", headers=stranger)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


async def test_the_longest_name_that_the_database_takes_fits_in_a_cursor(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    tenant = (await create_building(engine)).tenant_id
    name = "".join(chr(0x1F300 + secrets.randbelow(0x100)) for _ in range(660))  # 2,640 bytes
    await add_properties(engine, tenant, [name, f"{name}!", f"{name}!!"])
    url = "/properties?limit=1"
    names = []
    page = (await client.get(url, headers=headers(tenant))).json()
    while page["has_next"]:
        names.append(page["items"][0]["name"])
        page = (await client.get(f"{url}&cursor={page['next_cursor']}", headers=headers(tenant))).json()
    assert {name, f"{name}!"} <= {*names, page["items"][0]["name"]}
