"""The database alone keeps the feeds of tenants apart, by either of its two locks."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from tests.services.query.data import add_readings
from tests.services.query.locks import take_filters_away, take_policies_away
from tests.support.databases import Database
from tests.support.registry import Building, create_building

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
CHANGES = "SELECT items FROM changes($1, $2, 0, NULL, NULL, NULL, 10)"


@pytest.fixture
async def buildings(engine: AsyncEngine) -> tuple[Building, Building]:
    """Two tenants' buildings, with one reading in each."""
    ours, theirs = await create_building(engine), await create_building(engine)
    for building in (ours, theirs):
        await add_readings(engine, building.installation_ids[0], [NOON])
    return ours, theirs


@pytest.fixture
async def query_database(database: Database) -> AsyncIterator[QueryDatabase]:
    opened = QueryDatabase(database.query_url, service_role="mbus_query")
    async with opened.open():
        yield opened


@pytest.mark.parametrize("by_key", [False, True], ids=["by batch", "from before there were batches"])
@pytest.mark.parametrize("lock_taken_away", [None, take_filters_away, take_policies_away])
async def test_the_feed_tells_only_what_is_within_reach_also_with_one_lock_of_the_two(
    *,
    query_database: QueryDatabase,
    buildings: tuple[Building, Building],
    engine: AsyncEngine,
    lock_taken_away: Callable[[AsyncEngine], Awaitable[None]] | None,
    by_key: bool,
) -> None:
    ours, theirs = buildings
    if by_key:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE reading SET batch = 0"))
            await connection.execute(text("UPDATE change_batch SET batch = 0"))
    if lock_taken_away is not None:
        await lock_taken_away(engine)

    async def told(of_tenant: UUID | None, *of_properties: UUID) -> list[str]:
        async with query_database.driver_for(uuid4()) as connection:
            items = await connection.fetchval(CHANGES, of_tenant, of_properties or None)
        return [item["meter_installation_id"] for item in json.loads(f"[{items}]")]

    own = [str(ours.installation_ids[0])]
    assert await told(ours.tenant_id) == await told(ours.tenant_id, ours.property_id) == own
    assert await told(ours.tenant_id, theirs.property_id) == await told(None) == await told(uuid4()) == []


async def test_the_feed_tells_nothing_of_another_tenants_batch_that_it_was_led_to(
    query_database: QueryDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    async with engine.begin() as connection:
        of_theirs = text("UPDATE change_batch c SET batch = t.batch FROM change_batch t WHERE t.tenant_id = :theirs")
        await connection.execute(of_theirs, {"theirs": theirs.tenant_id})
    async with query_database.driver_for(uuid4()) as connection:
        assert await connection.fetchval(CHANGES, theirs.tenant_id, None) != ""
        assert await connection.fetchval(CHANGES, ours.tenant_id, None) == ""


async def test_the_feed_leaves_no_tenant_behind_on_the_connection(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    ours, _ = buildings
    async with query_database.driver_for(uuid4()) as connection:
        assert await connection.fetchval(CHANGES, ours.tenant_id, None) != ""
        assert await connection.fetch("SELECT FROM meter_installation") == []
