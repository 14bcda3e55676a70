"""`GET /changes`: everything in the order in which it was stored, page by page, for copies that are kept up to date."""

import base64
import json
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import batches
from services.ingest.operations import Memory
from tests.services.query.feed import NOW, Walk, message, readings_of, stored, with_constants
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

LIMITS = (1, 3, 7, 10_000)


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
def walk(client: httpx2.AsyncClient, headers: Headers, building: Building) -> Walk:
    return Walk(client, headers(building.tenant_id))


def values(walk: Walk) -> list[float]:
    return [value for _, value in walk.told]


async def test_a_page_tells_all_that_is_known_of_a_reading_and_leads_on(
    engine: AsyncEngine, building: Building, walk: Walk
) -> None:
    await stored(engine, message(building, [(0, 1, 1.5), (0, 2, 2.0)]))
    walk.limit = 1
    page = await walk.page()
    assert page == {
        "items": [
            {
                "meter_installation_id": str(building.installation_ids[0]),
                "timestamp": "2026-11-01T13:00:00Z",
                "value": 1.5,
                "rssi_dbm": None,
                "battery_level_pct": None,
                "received_at": "2026-12-01T12:00:00Z",
            }
        ],
        "next_cursor": walk.cursor,
        "has_next": True,
    }
    answer = await walk.client.get("/changes?limit=1", headers=walk.headers)
    assert answer.headers["link"] == f'</changes?limit=1&after={walk.cursor}>; rel="next"'
    answer = await walk.client.get(answer.headers["link"][1:].partition(">")[0], headers=walk.headers)
    assert [item["value"] for item in answer.json()["items"]] == [2.0]
    assert not answer.json()["has_next"]
    assert "link" not in answer.headers


async def test_a_feed_without_anything_has_a_cursor_too_and_goes_on_from_there(
    engine: AsyncEngine, building: Building, walk: Walk
) -> None:
    for _ in range(2):
        page = await walk.page()
        assert (page["items"], page["has_next"]) == ([], False)
    await stored(engine, message(building, [(0, 0, 1.0)]))
    assert values(await walk.to_the_end()) == [1.0]
    await walk.page()
    await stored(engine, message(building, [(0, -5, 2.0)]))  # late, and stored last
    assert values(await walk.to_the_end()) == [1.0, 2.0]


@pytest.mark.parametrize("limit", LIMITS)
async def test_following_the_cursor_meets_every_reading_once_commit_by_commit(
    engine: AsyncEngine, building: Building, walk: Walk, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS_A_BATCH", 4)
    memory = Memory()
    # Backwards in time, so that nothing but the order of commits is the order of the feed.
    for commit in range(5):
        sent = [(meter, -10 * commit + hour, commit * 100.0) for meter in (2, 0, 1) for hour in range(2 + commit % 2)]
        await stored(engine, message(building, sent), memory=memory)
    walk.limit = limit
    await walk.to_the_end()
    assert walk.copy == await readings_of(engine, building)
    assert len(walk.told) == len(walk.copy) == 36
    assert values(walk) == sorted(values(walk))
    for commit in range(5):
        keys = [key for key, value in walk.told if value == commit * 100.0]
        assert keys == sorted(keys)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT max(rows) FROM change_batch")) == batches.ROWS_A_BATCH


async def test_a_correction_is_told_again_where_it_was_stored_and_what_changes_nothing_is_not(
    engine: AsyncEngine, building: Building, walk: Walk
) -> None:
    await stored(engine, message(building, [(0, 0, 1.0), (1, 0, 2.0)]))
    await stored(engine, message(building, [(2, 0, 3.0)]))
    assert sorted(values(await walk.to_the_end())) == [1.0, 2.0, 3.0]
    await stored(engine, message(building, [(0, 0, 9.0), (1, 0, 2.0)], received_at=NOW + timedelta(seconds=1)))
    await stored(engine, message(building, [(1, 0, 2.0)], received_at=NOW + timedelta(seconds=2)))
    # Received earlier than what is stored: it corrects nothing.
    await stored(engine, message(building, [(2, 0, 8.0)], received_at=NOW - timedelta(seconds=1)))
    assert values(await walk.to_the_end())[3:] == [9.0]
    late = Walk(walk.client, walk.headers, 1)
    assert values(await late.to_the_end()) == [2.0, 3.0, 9.0]
    async with engine.connect() as connection:
        rows = await connection.scalars(text("SELECT rows FROM change_batch ORDER BY position"))
        assert rows.all() == [2, 1, 1]


async def test_what_one_commit_stores_and_corrects_is_told_once(
    engine: AsyncEngine, building: Building, walk: Walk
) -> None:
    messages = [
        message(building, [(0, 0, value)], received_at=NOW + timedelta(seconds=value)) for value in (1.0, 2.0, 3.0)
    ]
    await stored(engine, *messages)
    assert values(await walk.to_the_end()) == [3.0]


async def test_what_is_refused_is_not_told(engine: AsyncEngine, building: Building, walk: Walk) -> None:
    far_ahead = 24 * 365
    await stored(engine, message(building, [(0, far_ahead, 1.0), (0, 0, 2.0)]))
    await stored(engine, message(building, [(0, far_ahead, 1.0)]))
    assert values(await walk.to_the_end()) == [2.0]


@pytest.mark.parametrize("limit", LIMITS)
async def test_tenants_in_one_commit_are_told_their_own(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, limit: int
) -> None:
    buildings = [await create_building(engine) for _ in range(3)]
    buildings.sort(key=lambda building: building.tenant_id, reverse=True)
    memory = Memory()
    for commit in range(4):
        sent = [
            message(building, [(meter, 2 * commit + hour, float(number)) for meter in range(3) for hour in range(2)])
            for number, building in enumerate(buildings)
        ]
        await stored(engine, *sent, memory=memory)
    for building in buildings:
        walk = await Walk(client, headers(building.tenant_id), limit).to_the_end()
        assert walk.copy == await readings_of(engine, building)
        assert len(walk.told) == len(walk.copy) == 24
    async with engine.connect() as connection:
        places = await connection.execute(
            text("SELECT position, tenant_id, stored_before FROM change_batch ORDER BY batch")
        )
        # Each counts its own; and all commits take tenants in one order, whatever that of their messages was.
        tenants = [building.tenant_id for building in reversed(buildings)]
        assert places.all() == [
            (commit + 1, one, 18 * commit + 6 * number) for commit in range(4) for number, one in enumerate(tenants)
        ]


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_tenant_among_many_is_told_all_in_pages_that_end_early(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, limit: int
) -> None:
    await with_constants(engine, "changes", near=("gap > 4000", "gap > 2"), runs=("runs < 24", "runs < 2"))
    ours, theirs = await create_building(engine), await create_building(engine)
    memory = Memory()
    for commit in range(9):
        their = [message(theirs, [(0, commit * 3 + hour, 0.0) for hour in range(3)])]
        our = [message(ours, [(meter, commit, float(commit)) for meter in range(2)])]
        await stored(engine, *(our + their if commit % 4 else our), memory=memory)
        if commit % 3 == 0:
            await stored(engine, message(ours, [(2, commit, float(commit))]), memory=memory)
    walk = Walk(client, headers(ours.tenant_id), limit)
    pages = [await walk.page()]
    while pages[-1]["has_next"]:
        pages.append(await walk.page())
    assert walk.copy == await readings_of(engine, ours)
    assert len(walk.told) == len(walk.copy) == 21
    assert values(walk) == sorted(values(walk))
    if limit == LIMITS[-1]:
        assert len(pages) > 1


async def test_a_page_ends_where_it_has_read_much_for_others(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine
) -> None:
    await with_constants(engine, "changes", nothing=("page_size + 20000", "page_size + 2"))
    ours, theirs = await create_building(engine), await create_building(engine)
    memory = Memory()
    for commit in range(6):
        await stored(engine, message(ours, [(0, commit, float(commit))]), memory=memory)
        await stored(engine, message(theirs, [(0, commit * 5 + hour, 0.0) for hour in range(5)]), memory=memory)
    walk = Walk(client, headers(ours.tenant_id), 10)
    page = await walk.page()
    assert (values(walk), page["has_next"]) == ([0.0, 1.0, 2.0], True)  # 1 row, and 6 for each more: 12 are enough
    assert values(await walk.to_the_end()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


async def test_who_sees_some_properties_is_told_these_and_pages_may_be_empty(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine
) -> None:
    building = await create_building(engine)
    hidden = building.installation_ids[0]
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "WITH house AS (INSERT INTO property (tenant_id, name, address) VALUES (:tenant, 'Hidden', '')"
                " RETURNING id), flat AS (INSERT INTO unit (property_id, label) SELECT id, '1' FROM house RETURNING id)"
                " UPDATE meter_installation SET unit_id = flat.id FROM flat WHERE meter_installation.id = :moved"
            ),
            {"tenant": building.tenant_id, "moved": hidden},
        )
    for hour in range(6):
        await stored(engine, message(building, [(0, hour, 0.0), (1 + hour // 4, hour, 1.0)]))
    narrowed = headers(building.tenant_id, property_ids=[building.property_id, uuid4()])
    for limit in LIMITS:
        walk = await Walk(client, narrowed, limit).to_the_end()
        assert values(walk) == [1.0] * 6
        assert str(hidden) not in {key[0] for key, _ in walk.told}
    nothing = await Walk(client, headers(building.tenant_id, property_ids=[])).to_the_end()
    assert nothing.told == []


async def test_a_cursor_of_another_reach_is_refused(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, walk: Walk
) -> None:
    await stored(engine, message(building, [(0, 0, 1.0)]))
    await walk.to_the_end()
    one = building.property_id
    other = UUID(int=one.int ^ 8)  # a set of the two is in the order in which they came

    async def asked(cursor: str | None, *properties: UUID) -> httpx2.Response:
        caller = headers(building.tenant_id, property_ids=list(properties))
        return await client.get("/changes", params={"after": cursor} if cursor else {}, headers=caller)

    for refused in (await asked(walk.cursor, one), await asked(walk.cursor)):
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json()["errors"]] == ["after"]
    narrowed = (await asked(None, one, other)).json()["next_cursor"]
    assert (await asked(narrowed, other, one)).status_code == 200
    assert (await asked(narrowed, one)).status_code == 400
    assert (await client.get("/changes", params={"after": narrowed}, headers=walk.headers)).status_code == 400


@pytest.mark.parametrize(
    "restored",
    [
        "DELETE FROM change_batch WHERE position = 2",
        "DELETE FROM change_batch",
        "UPDATE change_batch SET stored_at = stored_at + interval '1 microsecond'",
    ],
    ids=["and nothing since", "emptied", "and something else since"],
)
async def test_a_cursor_of_what_the_database_has_lost_is_gone(
    engine: AsyncEngine, building: Building, walk: Walk, restored: str
) -> None:
    for hour in range(2):
        await stored(engine, message(building, [(0, hour, 1.0), (1, hour, 1.0)]))
    await walk.to_the_end()
    async with engine.begin() as connection:
        await connection.execute(text(restored))
    gone = await walk.client.get("/changes", params={"after": walk.cursor}, headers=walk.headers)
    assert gone.status_code == 410
    assert "Begin again" in gone.json()["detail"]


async def test_a_cursor_holds_nothing_of_what_others_store(engine: AsyncEngine, building: Building, walk: Walk) -> None:
    other = await create_building(engine)
    for hour in range(3):
        await stored(engine, message(other, [(0, hour, 1.0)]))
    await stored(engine, message(building, [(0, 0, 1.0)]))
    await walk.to_the_end()
    assert walk.cursor is not None
    position, stored_at, *key = json.loads(base64.urlsafe_b64decode(walk.cursor + "==")[8:])
    async with engine.connect() as connection:
        own = text("SELECT stored_at FROM change_batch WHERE tenant_id = :tenant")
        assert stored_at == str(await connection.scalar(own, {"tenant": building.tenant_id})).replace(" ", "T").replace(
            "+00:00", "Z"
        )
    assert (position, key) == (1, [None, None])


@pytest.mark.parametrize("parameters", ["limit=0", "limit=10001", "limit=x", "cursor=x", "after=x&after=y"])
async def test_bad_parameters_are_refused(
    client_without_database: httpx2.AsyncClient, headers: Headers, parameters: str
) -> None:
    answer = await client_without_database.get(f"/changes?{parameters}", headers=headers(uuid4()))
    assert answer.status_code == 422
