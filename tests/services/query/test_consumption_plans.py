"""What is read for consumption: each reading of the period once, from the primary key alone, and one beside it each."""

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
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FILL = """
    INSERT INTO reading
    SELECT i.id, newest - n * interval '1 day', 2000 - n, now()
    FROM generate_series(0, 1094) n, meter_installation i, (VALUES (timestamptz '2026-11-01Z')) t (newest)
"""
SHOWED = "SELECT * FROM counters_showed($1, NULL, $2, $3, $4, $5)"
WEEKS = [NEWEST - number * 7 * DAY for number in range(50, 40, -1)]


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine, meters=METERS)


@pytest.fixture(params=["as migrated", "as a plain table"])
async def connection(
    request: pytest.FixtureRequest,
    database: Database,
    building: Building,  # noqa: ARG001 - its meters are read
) -> AsyncIterator[Connection]:
    async with explaining(database.owner_url, FILL, plain=request.param == "as a plain table") as connection:
        yield connection


@pytest.mark.parametrize("meters", [1, 5])
async def test_each_reading_of_the_period_is_read_once_from_the_primary_key_alone(
    connection: Connection, building: Building, meters: int
) -> None:
    ids = building.installation_ids[:meters]
    rows, nodes = await run_and_explain(
        connection, SHOWED, building.tenant_id, ids, [None] * meters, [None] * meters, WEEKS
    )
    # Of each meter those beside an edge: the first one alone, and two with each of the ten edges.
    assert len(rows) == meters * (1 + len(WEEKS))
    scans = scans_among(nodes)
    assert_along_the_primary_key(scans, alone=True)
    of_a_meter = (WEEKS[-1] - WEEKS[0]) / DAY + 2  # those from one edge to the other, and the one before
    looked_for = 2  # the nearest before the period, and at its end or after
    assert rows_of(scans) == meters * (of_a_meter + looked_for)
    assert sorts_among(nodes) == []
    # Of a hypertable's three dozen chunks the three of these weeks, and their neighbours at most.
    assert len({scan["Relation Name"] for scan in scans if scan["Actual Loops"]}) <= 5


async def test_a_meter_that_was_exchanged_is_read_in_its_own_time_only(
    connection: Connection, building: Building
) -> None:
    ids, exchanged_at = building.installation_ids[:2], WEEKS[4]
    rows, nodes = await run_and_explain(
        connection, SHOWED, building.tenant_id, ids, [None, exchanged_at], [exchanged_at, None], WEEKS
    )
    assert {row["place"] for row in rows if row["at"] >= exchanged_at} == {2}
    assert {row["place"] for row in rows if row["at"] < exchanged_at} == {1}
    of_both = (WEEKS[-1] - WEEKS[0]) / DAY + 2
    looked_for = 3  # the nearest before the period, and the last one of each
    assert rows_of(scans_among(nodes)) == of_both + looked_for
