"""The plans of what reads readings, as they run inside the functions: along the primary key, no further than needed.

The rows are many enough for the planner to have a choice: three years of 30 meters, one reading of each a day.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Database
from tests.support.reading_plans import (
    Connection,
    Node,
    assert_along_the_primary_key,
    explaining,
    rows_of,
    run_and_explain,
    scans_among,
    sorts_among,
)
from tests.support.registry import Building, create_building

METERS = 30
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)
LONG_AGO = NEWEST - timedelta(days=500)
LIMIT = 20
FILL = """
    INSERT INTO reading
    SELECT i.id, newest - n * interval '1 day', n, now()
    FROM generate_series(0, 1094) n, meter_installation i, (VALUES (timestamptz '2026-11-01Z')) t (newest)
"""
PAGES = {
    "one": "SELECT items FROM readings_{order}($1, NULL, $2, $3, $4, $5)",
    "several": (
        "SELECT items FROM readings_of_several_{order}($1, NULL, $2, NULL, NULL, NULL, $3, $4, NULL, NULL, $5, 100)"
    ),
}
PIECE = "SELECT rows FROM readings_as_csv($1, NULL, $2, $3, $4, $5, $6)"
CHOOSE = "SELECT 1 FROM installations_to_export($1, NULL, NULL, NULL, NULL, NULL, $2, $3)"
CASES = [
    (order, after, before)
    for order in ("newest_first", "oldest_first")
    for after, before in ((None, None), (None, LONG_AGO), (LONG_AGO, None))
]


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


async def scans_of_readings(
    connection: Connection, call: str, *arguments: object
) -> tuple[int, list[Node], list[Node]]:
    """How many items the page has, the scans of `reading`, and the sorts."""
    ((items,),), nodes = await run_and_explain(connection, call, *arguments)
    return len(json.loads(f"[{items}]")), scans_among(nodes), sorts_among(nodes)


async def test_a_page_of_one_installation_reads_its_rows_and_one_more_along_the_primary_key(
    connection: Connection, building: Building
) -> None:
    for order, after, before in CASES:
        arguments = (building.tenant_id, building.installation_ids[0], after, before, LIMIT)
        size, scans, sorts = await scans_of_readings(connection, PAGES["one"].format(order=order), *arguments)
        assert size == LIMIT
        assert_along_the_primary_key(scans)
        assert_few_chunks(scans)
        assert rows_of(scans) == LIMIT + 1
        assert sorts == []


async def test_a_page_of_several_installations_reads_a_few_rows_of_each_along_the_primary_key(
    connection: Connection, building: Building
) -> None:
    for order, after, before in CASES:
        arguments = (building.tenant_id, building.installation_ids, after, before, LIMIT)
        size, scans, sorts = await scans_of_readings(connection, PAGES["several"].format(order=order), *arguments)
        assert size == LIMIT
        assert_along_the_primary_key(scans)
        assert_few_chunks(scans)
        few = 1.5 * (LIMIT + 1) + METERS
        assert LIMIT < rows_of(scans) <= few
        assert rows_of(sorts) <= few + LIMIT + 1


def assert_few_chunks(scans: list[Node]) -> None:
    """Of a hypertable no more than two chunks are looked into."""
    assert len({scan["Relation Name"] for scan in scans if scan["Actual Loops"]}) <= 2


async def test_a_piece_of_an_export_reads_its_rows_and_no_more_along_the_primary_key(
    connection: Connection, building: Building
) -> None:
    for after, before in ((None, None), (None, LONG_AGO), (LONG_AGO, None)):
        for at_time in (None, LONG_AGO + timedelta(days=7), LONG_AGO - timedelta(days=7)):
            arguments = (building.tenant_id, building.installation_ids, after, before, at_time, LIMIT)
            _, scans, sorts = await scans_of_readings(connection, PIECE, *arguments)
            assert_along_the_primary_key(scans)
            assert rows_of(scans) == LIMIT
            assert sorts == []


async def test_when_the_readings_of_many_begin_is_looked_up_with_a_row_of_each_of_a_few(
    connection: Connection, building: Building
) -> None:
    for after in (None, LONG_AGO):
        _, scans, sorts = await scans_of_readings(connection, CHOOSE, building.tenant_id, after, METERS - 1)
        assert {scan["Node Type"] for scan in scans} <= {"Index Scan", "Index Only Scan"}
        assert rows_of(scans) == METERS
        assert sorts == []
