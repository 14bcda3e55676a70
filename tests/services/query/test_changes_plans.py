"""The plans of the feed, as they run inside the functions: a page reads its batches and little more.

The rows are many enough for the planner to have a choice: 30,000 in 100 batches, a month of each in a chunk of its own.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Database
from tests.support.reading_plans import (
    Connection,
    assert_along_the_primary_key,
    explaining,
    rows_of,
    run_and_explain,
    scans_among,
    sorts_among,
)
from tests.support.registry import Building, create_building

METERS = 30
BATCHES = 100
ROWS_A_BATCH = 300
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
FILL = f"""
    INSERT INTO reading
    SELECT i.id, t.at, n, now(), NULL, NULL, (b + 1) * 1048576::bigint
    FROM generate_series(0, {BATCHES - 1}) b, generate_series(1, {ROWS_A_BATCH // METERS}) n, meter_installation i,
         LATERAL (SELECT timestamptz '{FIRST.isoformat()}' + b * interval '10 days' + n * interval '1 hour' AS at) t
    ORDER BY b, i.id, n;
    INSERT INTO change_batch (tenant_id, position, batch, rows, stored_before, earliest, latest)
    SELECT t.id, b + 1, (b + 1) * 1048576::bigint, {ROWS_A_BATCH}, b * {ROWS_A_BATCH},
           timestamptz '{FIRST.isoformat()}' + b * interval '10 days',
           timestamptz '{FIRST.isoformat()}' + b * interval '10 days' + interval '1 day'
    FROM generate_series(0, {BATCHES - 1}) b, tenant t;
    SELECT summarise_batches()
"""
NOTHING_BUT_BEFORE = f"""
    UPDATE reading SET batch = 0;
    DELETE FROM change_batch WHERE position > 1;
    UPDATE change_batch SET batch = 0, latest = timestamptz '{(FIRST + timedelta(days=500)).isoformat()}'
"""
PAGE = """
    SELECT items, next_position, next_id, next_time, has_next
    FROM changes($1, NULL, $2, (SELECT stored_at FROM change_batch WHERE position = $2), $3, $4, $5)
"""


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine, meters=METERS)


@pytest.fixture(params=["as migrated", "as a plain table"])
async def connection(
    request: pytest.FixtureRequest,
    database: Database,
    building: Building,  # noqa: ARG001 - its meters are read
) -> AsyncIterator[Connection]:
    """A connection that is told the plans of all statements; `reading` may be a hypertable where there are such."""
    async with explaining(database.owner_url, FILL, plain=request.param == "as a plain table") as connection:
        yield connection


async def test_a_page_reads_its_batches_by_their_index_and_no_other_chunks(
    connection: Connection, building: Building
) -> None:
    for position, limit, batches in ((0, 100, 1), (50, 300, 1), (90, 1000, 4)):
        ((items, next_position, next_id, _, has_next),), nodes = await run_and_explain(
            connection, PAGE, building.tenant_id, position, None, None, limit
        )
        assert len(json.loads(f"[{items}]")) == limit
        assert has_next
        assert next_position == position + batches
        assert (next_id is None) == (limit == ROWS_A_BATCH)
        scans = scans_among(nodes)
        assert {scan["Node Type"] for scan in scans} <= {"Bitmap Heap Scan"}
        ran = [scan for scan in scans if scan["Actual Loops"]]
        assert ran
        assert len({scan["Relation Name"] for scan in ran}) <= 3
        assert rows_of(ran) == 2 * batches * ROWS_A_BATCH  # once to see whose they are
        # Of a range of 32 pages, what lies beside the batches.
        in_vain = sum(scan.get("Rows Removed by Index Recheck", 0) * scan["Actual Loops"] for scan in ran)
        assert in_vain <= 3 * 32 * 140


async def test_a_page_from_before_there_were_batches_reads_its_rows_and_one_more_along_the_primary_key(
    connection: Connection, building: Building
) -> None:
    await connection.execute(NOTHING_BUT_BEFORE)
    position, id_, time = 0, None, None
    for limit in (20, 40):
        ((items, position, id_, time, has_next),), nodes = await run_and_explain(
            connection, PAGE, building.tenant_id, position, id_, time, limit
        )
        assert len(json.loads(f"[{items}]")) == limit
        assert has_next
        scans = scans_among(nodes)
        assert_along_the_primary_key(scans)
        assert rows_of(scans) == limit + 1
        assert sorts_among(nodes) == []
