"""What the service's connections are set to."""

from services.query.database import QueryDatabase
from tests.support.databases import Database


async def test_no_statement_of_the_service_is_compiled(database: Database) -> None:
    # For a page that takes 3 ms the server's JIT took 40, at each request.
    query = QueryDatabase(database.query_url, service_role="mbus_query")
    async with query.open():
        async with query.driver() as connection:
            assert await connection.fetchval("SHOW jit") == "off"
        async with query.engine.connect() as session:
            assert (await session.exec_driver_sql("SHOW jit")).scalar_one() == "off"
