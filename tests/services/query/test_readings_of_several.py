"""`GET /readings` of several installations: whole, in order, whatever arrives meanwhile."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.queries import readings
from shared.database import create_sessions
from shared.http.times import format_time
from shared.models import Property, Unit
from tests.services.query.data import add_readings
from tests.support.registry import Building, add_meter, create_building
from tests.support.tokens import Headers

START = datetime(2026, 11, 1, 5, tzinfo=UTC)
Key = tuple[str, str]
"""The time and the installation of a reading, as an answer has them."""


def hours(*numbers: float) -> list[datetime]:
    return [START + timedelta(hours=number) for number in numbers]


def keys(page: dict[str, Any]) -> list[Key]:
    return [(item["timestamp"], item["meter_installation_id"]) for item in page["items"]]


def selecting(ids: Sequence[UUID]) -> str:
    return "&".join(f"installation_id={one}" for one in ids)


@asynccontextmanager
async def pages(
    client: httpx2.AsyncClient, url: str, caller: dict[str, str]
) -> AsyncIterator[AsyncIterator[list[Key]]]:
    """The keys of each page, by following the link from one to the next."""

    async def walk() -> AsyncGenerator[list[Key]]:
        following: str | None = url
        while following is not None:
            answer = await client.get(following, headers=caller)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert page["has_next"] == (page["next_cursor"] is not None) == ("link" in answer.headers)
            yield keys(page)
            following = answer.headers["link"].partition("<")[2].partition(">")[0] if page["has_next"] else None

    walking = walk()
    try:
        yield walking
    finally:
        await walking.aclose()


async def all_keys(client: httpx2.AsyncClient, url: str, caller: dict[str, str]) -> list[Key]:
    async with pages(client, url, caller) as walking:
        return [key async for page in walking for key in page]


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
async def test_following_the_links_meets_every_reading_once_in_order(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, order: str, limit: int
) -> None:
    building = await create_building(engine, meters=4)
    hourly, also_hourly, often, _silent = building.installation_ids
    times = {hourly: hours(0, 1, 2, 3), also_hourly: hours(0, 1, 2, 3), often: hours(*(n / 10 for n in range(25)))}
    for installation, at in times.items():
        await add_readings(engine, installation, at)
    url = f"/readings?{selecting(building.installation_ids)}&order={order}&limit={limit}"
    expected = sorted((format_time(time), str(one)) for one, at in times.items() for time in at)
    met = await all_keys(client, url, headers(building.tenant_id))
    assert met == (expected if order == "asc" else expected[::-1])


async def test_readings_that_arrive_between_two_pages_are_met_where_the_list_is_yet_to_come_and_shift_nothing(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=3)
    for installation in building.installation_ids:
        await add_readings(engine, installation, hours(0, 2, 4))
    first, second, third = sorted(building.installation_ids, key=str)
    before = await all_keys(client, f"/readings?property_id={building.property_id}", headers(building.tenant_id))
    async with pages(
        client, f"/readings?property_id={building.property_id}&limit=4", headers(building.tenant_id)
    ) as walking:
        met = await anext(walking)
        assert met[-1] == (format_time(START + timedelta(hours=2)), str(third))
        # Newer than the position, at its very time on both sides of it, and older.
        await add_readings(engine, first, hours(5, 1))
        newcomers = [
            await add_meter(engine, building, f"8000000{number}", medium="water", unit_of_measure="m3")
            for number in range(6)
        ]
        for newcomer in newcomers:
            await add_readings(engine, newcomer, hours(2))
        met += [key async for page in walking for key in page]
    assert len(set(met)) == len(met)
    assert met == sorted(met, reverse=True)
    position = (format_time(START + timedelta(hours=2)), str(third))
    expected_new = {(position[0], str(one)) for one in newcomers} | {(format_time(hours(1)[0]), str(first))}
    assert set(met) - set(before) == {key for key in expected_new if key < position}
    assert set(before) <= set(met)
    assert (format_time(hours(2)[0]), str(second)) in met


async def test_installations_that_fell_silent_long_ago_neither_hide_others_nor_are_left_out(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=12)
    busy, *silent = building.installation_ids
    await add_readings(engine, busy, hours(*range(60)))
    for number, installation in enumerate(silent):
        await add_readings(engine, installation, [START - timedelta(days=400 + number)])
    url = f"/readings?{selecting(building.installation_ids)}&limit=20"
    met = await all_keys(client, url, headers(building.tenant_id))
    assert [key[1] for key in met] == [str(busy)] * 60 + [str(one) for one in silent]


rare_and_dense = st.lists(
    st.one_of(
        st.lists(st.integers(0, 12), unique=True, max_size=13),
        st.builds(range, st.integers(0, 20), st.integers(20, 50)),
    ),
    min_size=1,
    max_size=5,
)
edges = st.none() | st.integers(-1, 25)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    series=rare_and_dense, after=edges, before=edges, limit=st.integers(5, 12), order=st.sampled_from(["asc", "desc"])
)
async def test_the_pages_are_the_sorted_readings_cut_into_pieces(
    *,
    client: httpx2.AsyncClient,
    engine: AsyncEngine,
    headers: Headers,
    series: list[Sequence[int]],
    after: int | None,
    before: int | None,
    limit: int,
    order: str,
) -> None:
    building = await create_building(engine, meters=len(series))
    stored: list[Key] = []
    async with engine.begin() as connection:
        for installation, numbers in zip(building.installation_ids, series, strict=True):
            stored += [(format_time(time), str(installation)) for time in hours(*numbers)]
            await connection.execute(
                text("INSERT INTO reading SELECT :id, unnest(cast(:at AS timestamptz[])), 1, now()"),
                {"id": installation, "at": hours(*numbers)},
            )
    url = f"/readings?unit_id={building.unit_id}&limit={limit}&order={order}"
    expected = sorted(stored, reverse=order == "desc")
    if after is not None:
        (edge,) = hours(after)
        url += f"&after={format_time(edge)}"
        expected = [key for key in expected if datetime.fromisoformat(key[0]) > edge]
    if before is not None:
        (edge,) = hours(before)
        url += f"&before={format_time(edge)}"
        expected = [key for key in expected if datetime.fromisoformat(key[0]) < edge]
    async with pages(client, url, headers(building.tenant_id)) as walking:
        met = [page async for page in walking]
    assert met == ([expected[at : at + limit] for at in range(0, len(expected), limit)] or [[]])


@pytest.fixture
async def houses(engine: AsyncEngine) -> dict[str, Any]:
    """A tenant with two properties: in one two units, in one of those a meter that was exchanged; all were read."""
    building = await create_building(engine, meters=0)
    ids: dict[str, Any] = {"building": building, "here": building.property_id, "left": building.unit_id}
    ids["old heat"] = await add_meter(engine, building, "1")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE meter_installation SET deleted_at = :at"), {"at": START})
    ids["new heat"] = await add_meter(engine, building, "2")
    async with create_sessions(engine).begin() as session:
        there = Property(tenant_id=building.tenant_id, name="There", address="Testvej 2")
        session.add(there)
        await session.flush()
        right, far = Unit(property_id=building.property_id, label="right"), Unit(property_id=there.id, label="far")
        session.add_all([right, far])
        await session.flush()
        ids |= {"there": there.id, "right": right.id, "far": far.id}
    for name, unit, medium, unit_of_measure in (
        ("right heat", "right", "heat", "kWh"),
        ("right water", "right", "cold_water", "m3"),
        ("far water", "far", "cold_water", "m3"),
    ):
        moved = Building(building.tenant_id, ids["here"], ids[unit], building.gateway_id)
        ids[name] = await add_meter(engine, moved, name, medium=medium, unit_of_measure=unit_of_measure)
    for name in METERS:
        await add_readings(engine, ids[name], [START])
    return ids


METERS = ("old heat", "new heat", "right heat", "right water", "far water")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("property_id={here}", {"old heat", "new heat", "right heat", "right water"}),
        ("property_id={here}&property_id={there}", set(METERS)),
        ("unit_id={left}", {"old heat", "new heat"}),
        ("unit_id={left}&unit_id={far}", {"old heat", "new heat", "far water"}),
        ("medium=heat", {"old heat", "new heat", "right heat"}),
        ("medium=heat&medium=cold_water", set(METERS)),
        ("medium=gas", set()),
        ("property_id={here}&medium=cold_water", {"right water"}),
        ("property_id={there}&unit_id={left}", set()),
        ("property_id={here}&unit_id={right}&unit_id={far}", {"right heat", "right water"}),
        ("unit_id={right}&medium=heat", {"right heat"}),
        ("installation_id={old heat}", {"old heat"}),
        ("installation_id={old heat}&installation_id={far water}", {"old heat", "far water"}),
        ("installation_id={old heat}&installation_id={old heat}", {"old heat"}),
        ("installation_id={old heat}&medium=heat", {"old heat"}),
        ("installation_id={old heat}&installation_id={far water}&medium=heat", {"old heat"}),
        ("installation_id={far water}&property_id={here}", set()),
        ("installation_id={far water}&installation_id={right heat}&unit_id={far}&medium=cold_water", {"far water"}),
    ],
)
async def test_values_of_a_filter_add_up_and_filters_narrow_each_other(
    client: httpx2.AsyncClient, headers: Headers, houses: dict[str, Any], query: str, expected: set[str]
) -> None:
    answer = await client.get(f"/readings?{query.format(**houses)}", headers=headers(houses["building"].tenant_id))
    assert answer.status_code == 200
    assert {item["meter_installation_id"] for item in answer.json()["items"]} == {str(houses[one]) for one in expected}


async def test_what_is_foreign_or_absent_selects_nothing_and_cannot_be_told_apart(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    ours, theirs = await create_building(engine, meters=1), await create_building(engine, meters=2)
    for installation in (*ours.installation_ids, *theirs.installation_ids):
        await add_readings(engine, installation, [START])
    nothing: dict[str, Any] = {"items": [], "next_cursor": None, "has_next": False}
    for query in (
        selecting(theirs.installation_ids),
        selecting([uuid4(), uuid4()]),
        f"property_id={theirs.property_id}",
        f"property_id={uuid4()}",
        f"unit_id={theirs.unit_id}",
        f"unit_id={uuid4()}",
        "medium=gas",
    ):
        answer = await client.get(f"/readings?{query}", headers=headers(ours.tenant_id))
        assert (answer.status_code, answer.json()) == (200, nothing)
    mixed = selecting([*theirs.installation_ids, *ours.installation_ids, uuid4()])
    assert keys((await client.get(f"/readings?{mixed}", headers=headers(ours.tenant_id))).json()) == [
        (format_time(START), str(ours.installation_ids[0]))
    ]


async def test_a_cursor_is_good_for_its_own_list_only(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building, other = await create_building(engine, meters=2), await create_building(engine)
    for installation in building.installation_ids:
        await add_readings(engine, installation, hours(0, 1))
    first, second = building.installation_ids

    async def status(query: str, tenant_id: UUID = building.tenant_id) -> int:
        return (await client.get(f"/readings?{query}", headers=headers(tenant_id))).status_code

    both = selecting([first, second])
    page = (await client.get(f"/readings?{both}&limit=1", headers=headers(building.tenant_id))).json()
    cursor = page["next_cursor"]
    assert await status(f"{both}&cursor={cursor}") == 200
    assert await status(f"{selecting([second, first])}&cursor={cursor}&limit=7") == 200
    for other_list in (
        selecting([first]),
        f"{both}&order=asc",
        f"{both}&medium=heat",
        f"{both}&before={format_time(START)}",
        f"{both}&after={format_time(START)}",
        f"property_id={building.property_id}",
        f"unit_id={building.unit_id}",
        "medium=heat",
    ):
        assert await status(f"{other_list}&cursor={cursor}") == 400, other_list
    assert await status(f"{both}&cursor={cursor}", other.tenant_id) == 400
    for bad in ("", format_time(START), cursor[:-1], cursor[::-1], "%00", "%ED%A0%80"):
        assert await status(f"{both}&cursor={bad}") == 400, bad


async def test_a_selection_of_too_many_installations_is_refused_and_counted(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = await create_building(engine, meters=4)
    monkeypatch.setattr(readings, "INSTALLATIONS_MAX", 3)
    answer = await client.get("/readings?medium=heat", headers=headers(building.tenant_id))
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "4 installations are selected, and at most 3 can be. Select fewer, such as one property at a time."
    )
    monkeypatch.setattr(readings, "INSTALLATIONS_MAX", 4)
    assert (await client.get("/readings?medium=heat", headers=headers(building.tenant_id))).status_code == 200


async def test_a_hundred_installations_can_be_named_and_no_more(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=1)
    ids = [*building.installation_ids, *(uuid4() for _ in range(99))]
    caller = headers(building.tenant_id)
    assert (await client.get(f"/readings?{selecting(ids)}", headers=caller)).status_code == 200
    answer = await client.get(f"/readings?{selecting([*ids, uuid4()])}", headers=caller)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["installation_id"]


async def test_without_a_filter_the_answer_says_which_there_are(
    client_without_database: httpx2.AsyncClient, headers: Headers
) -> None:
    answer = await client_without_database.get("/readings?limit=1", headers=headers(uuid4()))
    assert answer.status_code == 422
    assert answer.json()["detail"] == "installation_id: is missing: give it, or property_id, unit_id or medium"
