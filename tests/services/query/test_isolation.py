"""The database alone keeps tenants apart: what the query role can do without the filters of the code."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from shared.http.reach import Reach
from shared.models import Base
from tests.services.query.data import add_readings
from tests.support.databases import Database
from tests.support.registry import Building, create_building

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
TABLES = (
    "tenant",
    "property",
    "property_config",
    "unit",
    "gateway",
    "meter_installation",
    "installation_status",
)
PAGE = text("SELECT * FROM readings_page(:tenant, :installation, 'infinity', 10)")


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


@pytest.mark.parametrize("table", TABLES)
async def test_a_statement_without_a_filter_meets_only_the_tenant_that_is_set(
    query_database: QueryDatabase, buildings: tuple[Building, Building], engine: AsyncEngine, table: str
) -> None:
    ours, _ = buildings
    everything = select(Base.metadata.tables[table])
    async with engine.connect() as connection:
        all_rows = len((await connection.execute(everything)).all())
    async with query_database.session_within(Reach(ours.tenant_id)) as session:
        our_rows = len((await session.execute(everything)).all())
    assert 0 < our_rows == all_rows / 2
    # A setting ends with its transaction: the same connection, out of the pool again, sees nothing.
    async with query_database.engine.connect() as connection:
        assert (await connection.execute(everything)).all() == []


@pytest.mark.parametrize("table", [table for table in TABLES if table != "tenant"])
async def test_a_narrowed_caller_meets_only_the_properties_that_are_set(
    query_database: QueryDatabase, buildings: tuple[Building, Building], table: str
) -> None:
    ours, theirs = buildings
    everything = select(Base.metadata.tables[table])

    async def rows(*property_ids: UUID) -> int:
        async with query_database.session_within(Reach(ours.tenant_id, frozenset(property_ids))) as session:
            return len((await session.execute(everything)).all())

    async with query_database.session_within(Reach(ours.tenant_id)) as session:
        all_of_ours = len((await session.execute(everything)).all())
    assert await rows(ours.property_id) == await rows(ours.property_id, theirs.property_id) == all_of_ours > 0
    assert await rows(theirs.property_id) == await rows() == 0


async def test_the_query_role_cannot_read_readings_by_itself(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    with pytest.raises(DBAPIError, match="permission denied for table reading"):
        async with query_database.session_within(Reach(buildings[0].tenant_id)) as session:
            await session.execute(text("SELECT FROM reading"))


async def test_the_page_function_finds_only_installations_of_the_tenant_it_is_given(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    ours, theirs = buildings
    async with query_database.engine.connect() as connection:
        page = await connection.execute(PAGE, {"tenant": ours.tenant_id, "installation": ours.installation_ids[0]})
        assert [row.timestamp for row in page] == [NOON]
    for tenant_id in (ours.tenant_id, None):
        with pytest.raises(DBAPIError, match="no such installation"):
            async with query_database.engine.connect() as connection:
                await connection.execute(PAGE, {"tenant": tenant_id, "installation": theirs.installation_ids[0]})


async def test_the_page_function_leaves_no_tenant_behind_on_the_connection(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    ours, _ = buildings
    async with query_database.driver() as connection:
        page = "SELECT * FROM readings_page($1, $2, 'infinity', 10)"
        assert len(await connection.fetch(page, ours.tenant_id, ours.installation_ids[0])) == 1
        assert await connection.fetch("SELECT FROM meter_installation") == []
