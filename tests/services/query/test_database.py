"""What the service's connections are set to."""

from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from shared.http.reach import Reach
from tests.support.databases import Database
from tests.support.registry import create_building


async def test_no_statement_of_the_service_is_compiled(database: Database) -> None:
    # For a page that takes 3 ms the server's JIT took 40, at each request.
    query = QueryDatabase(database.query_url, service_role="mbus_query")
    async with query.open():
        async with query.driver_for(uuid4()) as connection:
            assert await connection.fetchval("SHOW jit") == "off"
        async with query.engine.connect() as session:
            assert (await session.exec_driver_sql("SHOW jit")).scalar_one() == "off"


async def test_all_statements_of_a_page_see_the_same_rows(database: Database, engine: AsyncEngine) -> None:
    building = await create_building(engine)
    query = QueryDatabase(database.query_url, service_role="mbus_query")
    installations = "SELECT id, gateway_id FROM meter_installation ORDER BY id"
    async with query.open(), query.driver_within(Reach(building.tenant_id)) as connection:
        before = await connection.fetch(installations)
        async with engine.begin() as writer:
            await writer.execute(text("UPDATE meter_installation SET gateway_id = NULL"))
        assert before == await connection.fetch(installations) != []
