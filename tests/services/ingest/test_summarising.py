"""The index of batches knows what was stored, however that is asked for and whoever else is at work."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.summarising import Summarising
from shared.service_database import ServiceDatabase
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import create_building

FILL = text("""
    INSERT INTO reading (meter_installation_id, "timestamp", value, received_at, batch)
    SELECT i.id, timestamptz '2026-11-01Z' + n * interval '1 second', n, now(), 1048576
    FROM meter_installation i, generate_series(1, 10000) n
""")
LOOK_FOR_A_BATCH_THAT_IS_NOT_THERE = text("EXPLAIN (ANALYZE, FORMAT json) SELECT FROM reading WHERE batch = 7")


@pytest.fixture
async def ingest_database(database: Database) -> AsyncIterator[ServiceDatabase]:
    opened = ServiceDatabase(database.ingest_url, service_role="mbus_ingest")
    async with opened.open():
        yield opened


@pytest.fixture(autouse=True)
async def readings(engine: AsyncEngine) -> None:
    """Enough for several ranges of pages, of which the index knows nothing yet."""
    await create_building(engine, meters=1)
    async with engine.begin() as connection:
        await connection.execute(FILL)
    assert await rows_read_in_vain(engine) > 5_000


async def rows_read_in_vain(engine: AsyncEngine) -> int:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = str(json.dumps(await connection.scalar(LOOK_FOR_A_BATCH_THAT_IS_NOT_THERE)))
    assert "Bitmap" in plan
    return sum(_numbers(json.loads(plan), "Rows Removed by Index Recheck"))


def _numbers(node: object, name: str) -> list[int]:
    match node:
        case dict():
            inner = [number for value in node.values() for number in _numbers(value, name)]
            return [*inner, int(node[name])] if name in node else inner
        case list():
            return [number for value in node for number in _numbers(value, name)]
        case _:
            return []


async def test_ingest_keeps_it_up_to_date_by_itself(engine: AsyncEngine, ingest_database: ServiceDatabase) -> None:
    async def knows_all() -> bool:
        return await rows_read_in_vain(engine) == 0

    async with Summarising(ingest_database).running():
        await eventually(knows_all)


async def test_two_at_once_are_one_and_nobody_waits(engine: AsyncEngine, ingest_database: ServiceDatabase) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SELECT summarise_batches()"))  # its lock lasts as long as the transaction
        async with engine.begin() as another:
            await another.execute(FILL_MORE)
        await Summarising(ingest_database).summarise()
        assert await rows_read_in_vain(engine) > 5_000
    await Summarising(ingest_database).summarise()
    assert await rows_read_in_vain(engine) == 0


FILL_MORE = text(str(FILL).replace("2026-11-01Z", "2026-11-02Z"))


async def test_a_vacuum_at_work_is_left_alone(engine: AsyncEngine, ingest_database: ServiceDatabase) -> None:
    """It would be cancelled for one who waits for its lock longer than `deadlock_timeout`."""
    async with engine.begin() as connection:
        for table in await tables_of_readings(connection):
            await connection.execute(text(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"))  # as VACUUM does
        timeout = text("SELECT current_setting('deadlock_timeout')::interval > interval '100 ms' * 2")
        assert await connection.scalar(timeout)
        await Summarising(ingest_database).summarise()
        assert await rows_read_in_vain(engine) > 5_000
    await Summarising(ingest_database).summarise()
    assert await rows_read_in_vain(engine) == 0


async def tables_of_readings(connection: AsyncConnection) -> list[str]:
    children = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'reading'::regclass")
    return ["reading", *(await connection.scalars(children)).all()]
