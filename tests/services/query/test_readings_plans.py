"""The plans of what reads readings, as they run inside the functions: along the primary key, no further than needed.

The rows are many enough for the planner to have a choice: three years of 30 meters, one reading of each a day.
"""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Database
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
MAKE_PLAIN = """
    ALTER TABLE reading RENAME TO hypertable;
    CREATE TABLE reading (LIKE hypertable INCLUDING ALL);
    GRANT SELECT ON reading TO mbus_reader
"""
EXPLAIN_WHAT_RUNS_INSIDE = """
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_analyze = on;
    SET auto_explain.log_format = json;
    SET client_min_messages = log
"""
PAGES = {
    "one": "SELECT items FROM readings_{order}($1, NULL, $2, $3, $4, $5)",
    "several": (
        "SELECT items FROM readings_of_several_{order}($1, NULL, $2, NULL, NULL, NULL, $3, $4, NULL, NULL, $5, 100)"
    ),
}
CASES = [
    (order, after, before)
    for order in ("newest_first", "oldest_first")
    for after, before in ((None, None), (None, LONG_AGO), (LONG_AGO, None))
]
Node = dict[str, Any]


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine, meters=METERS)


@pytest.fixture(params=["as migrated", "as a plain table"])
async def connection(
    request: pytest.FixtureRequest,
    database: Database,
    building: Building,  # noqa: ARG001 - its meters are read
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that is told the plans of all statements; `reading` may be a hypertable where there are such."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        if request.param == "as a plain table":
            await connection.execute(MAKE_PLAIN)
        await connection.execute(FILL)
        await connection.execute("ANALYZE")
        await connection.execute(EXPLAIN_WHAT_RUNS_INSIDE)
        yield connection
    finally:
        await connection.close()


async def scans_of_readings(
    connection: "asyncpg.Connection[asyncpg.Record]", call: str, *arguments: object
) -> tuple[int, list[Node], list[Node]]:
    """How many items the page has, the scans of `reading`, and the sorts, of the second call on this connection."""
    plans: list[Node] = []

    def remember(_: object, message: Any) -> None:
        if message.message.startswith("duration:"):
            plans.append(json.loads(message.message.partition("plan:")[2]))

    await connection.fetch(call, *arguments)
    connection.add_log_listener(remember)
    items = json.loads(f"[{await connection.fetchval(call, *arguments)}]")
    connection.remove_log_listener(remember)
    nodes = [node for plan in plans if "public.reading r" in plan["Query Text"] for node in all_nodes(plan["Plan"])]
    # TimescaleDB's own node names the hypertable; the scans are below it.
    of_readings = [node for node in nodes if node.get("Relation Name", "").startswith(("reading", "_hyper"))]
    scans = [node for node in of_readings if node["Node Type"] != "Custom Scan"]
    return len(items), scans, [node for node in nodes if "Sort" in node["Node Type"]]


def all_nodes(node: Node) -> Iterator[Node]:
    yield node
    for part in node.get("Plans", ()):
        yield from all_nodes(part)


def rows_of(nodes: list[Node]) -> float:
    return sum(float(node["Actual Rows"]) * int(node["Actual Loops"]) for node in nodes)


async def test_a_page_of_one_installation_reads_its_rows_and_one_more_along_the_primary_key(
    connection: "asyncpg.Connection[asyncpg.Record]", building: Building
) -> None:
    for order, after, before in CASES:
        arguments = (building.tenant_id, building.installation_ids[0], after, before, LIMIT)
        size, scans, sorts = await scans_of_readings(connection, PAGES["one"].format(order=order), *arguments)
        assert size == LIMIT
        assert_along_the_primary_key(scans)
        assert rows_of(scans) == LIMIT + 1
        assert sorts == []


async def test_a_page_of_several_installations_reads_a_few_rows_of_each_along_the_primary_key(
    connection: "asyncpg.Connection[asyncpg.Record]", building: Building
) -> None:
    for order, after, before in CASES:
        arguments = (building.tenant_id, building.installation_ids, after, before, LIMIT)
        size, scans, sorts = await scans_of_readings(connection, PAGES["several"].format(order=order), *arguments)
        assert size == LIMIT
        assert_along_the_primary_key(scans)
        few = 1.5 * (LIMIT + 1) + METERS
        assert LIMIT < rows_of(scans) <= few
        assert rows_of(sorts) <= few + LIMIT + 1


def assert_along_the_primary_key(scans: list[Node]) -> None:
    """Also what is planned and not run; and of a hypertable no more than two chunks are looked into."""
    assert scans
    for scan in scans:
        assert scan["Node Type"] == "Index Scan"
        assert scan["Index Name"].endswith(("pk_reading", "reading_pkey"))
        for column in ("meter_installation_id = ", '"timestamp" > ', '"timestamp" < '):
            assert column in scan["Index Cond"]
    assert len({scan["Relation Name"] for scan in scans if scan["Actual Loops"]}) <= 2
