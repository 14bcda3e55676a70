"""What the database does for a list of installations: it reads what the page needs, and not what the tenant has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from services.query.queries.installation_filters import InstallationFilters
from services.query.queries.installation_order import InstallationSort
from services.query.queries.installation_summary import installations_summary
from services.query.queries.installations import installations_page
from shared.http.reach import Reach
from shared.models import InstallationState, Medium
from tests.support.databases import Database
from tests.support.plans import Explained, nodes, rows_looked_at

INSTALLATIONS = 20_000
BIG, SMALL = UUID(int=1), UUID(int=2)

FLEET = (
    "INSERT INTO tenant (id, slug, name) VALUES (:big, 'big', ''), (:small, 'small', '')",
    """
    INSERT INTO property (tenant_id, name, address)
    SELECT :big, 'House ' || n, 'Gade ' || n FROM generate_series(1, 200) n
    """,
    "INSERT INTO property (tenant_id, name, address) VALUES (:small, 'House', 'Gade')",
    "INSERT INTO unit (property_id, label) SELECT p.id, n FROM property p, generate_series(1, 10) n",
    """
    INSERT INTO meter_installation (tenant_id, unit_id, meter_serial, medium, unit_of_measure, installed_at)
    SELECT p.tenant_id, u.id, row_number() OVER (), (ARRAY['heat', 'water'])[1 + n % 2], 'kWh', '2024-01-01'
    FROM unit u JOIN property p ON p.id = u.property_id, generate_series(1, 10) n
    """,
    """
    UPDATE installation_status
    SET state = CASE WHEN r < 0.02 THEN 'never_seen' WHEN r < 0.1 THEN 'stale' ELSE 'fresh' END,
        last_reading_at = CASE WHEN r > 0.02 THEN now() - r * interval '9 days' END
    FROM (SELECT installation_id AS id, random() AS r FROM installation_status) s WHERE s.id = installation_id
    """,
)


@pytest.fixture
async def plans(
    database: Database, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[QueryDatabase, list[dict[str, Any]]]]:
    """A database with a big tenant and a small one, and the plans of what is read there by query's own role."""
    async with engine.begin() as connection:
        for statement in FLEET:
            known = {"big": BIG, "small": SMALL}
            await connection.execute(text(statement), {name: known[name] for name in known if f":{name}" in statement})
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    opened = QueryDatabase(database.query_url, service_role="mbus_query")
    seen: list[dict[str, Any]] = []
    within = opened.driver_within

    @asynccontextmanager
    async def explained(reach: Reach, *, plan_each_time: bool = False) -> AsyncIterator[Explained]:
        async with within(reach, plan_each_time=plan_each_time) as connection:
            yield Explained(connection, seen)

    monkeypatch.setattr(opened, "driver_within", explained)
    async with opened.open():
        yield opened, seen


async def half_of_the_properties(engine: AsyncEngine) -> Reach:
    """What a caller may see who is narrowed to half of the properties of the big tenant."""
    async with engine.connect() as connection:
        found = await connection.scalars(
            text("SELECT id FROM property WHERE tenant_id = :big ORDER BY id LIMIT 100"), {"big": BIG}
        )
        return Reach(BIG, frozenset(found))


def rows_read(plan: dict[str, Any]) -> int:
    """How many rows of tables were looked at, besides those of properties, which are few."""
    return sum(rows_looked_at(node) for node in nodes(plan) if node.get("Relation Name") not in {None, "property"})


def statuses_read(plan: dict[str, Any]) -> int:
    """How many rows of `installation_status` were looked at."""
    return sum(rows_looked_at(node) for node in nodes(plan) if node.get("Relation Name") == "installation_status")


def sorted_rows(plan: dict[str, Any]) -> int:
    return sum(round(node["Plans"][0]["Actual Rows"]) for node in nodes(plan) if "Sort" in node["Node Type"])


async def test_any_page_of_the_whole_list_is_a_range_of_an_index(
    plans: tuple[QueryDatabase, list[dict[str, Any]]],
) -> None:
    database, seen = plans
    for sort, tenant_id in product(InstallationSort, (BIG, SMALL)):
        cursor = None
        for _ in range(6):  # beyond those that were never seen
            page = await installations_page(
                database, reach=Reach(tenant_id), filters=InstallationFilters(), sort=sort, cursor=cursor, limit=99
            )
            cursor = page.next_cursor
            if cursor is None:
                break
    # The status, the installation and the unit of each.
    assert max(map(rows_read, seen)) == 3 * 100
    assert max(map(sorted_rows, seen)) <= 100


async def test_a_filter_that_lets_many_through_does_not_read_them_all(
    plans: tuple[QueryDatabase, list[dict[str, Any]]],
) -> None:
    database, seen = plans
    for filters in (
        InstallationFilters(states=frozenset({InstallationState.FRESH})),
        InstallationFilters(media=frozenset({Medium.HEAT})),
        InstallationFilters(text="1"),
    ):
        seen.clear()
        page = await installations_page(
            database, reach=Reach(BIG), filters=filters, sort=InstallationSort.LATEST_READING, cursor=None, limit=99
        )
        assert len(page.items) == 99
        assert sum(map(rows_read, seen)) < INSTALLATIONS / 4, filters


async def test_a_search_reads_serials_from_the_index_and_statuses_only_of_what_it_finds(
    plans: tuple[QueryDatabase, list[dict[str, Any]]],
) -> None:
    database, seen = plans
    for sort, sought in product(InstallationSort, ("19999", "nowhere", "gade 17")):
        seen.clear()
        filters = InstallationFilters(text=sought)
        await installations_page(database, reach=Reach(BIG), filters=filters, sort=sort, cursor=None, limit=99)
        for node in (node for plan in seen for node in nodes(plan)):
            if node.get("Relation Name") == "installation_status":
                assert node["Actual Loops"] * node["Actual Rows"] <= 1_200, (sort, sought)
            if node.get("Relation Name") == "meter_installation":
                assert node["Node Type"] in {"Index Only Scan", "Index Scan"}, (sort, sought)


@pytest.mark.parametrize("state", [InstallationState.STALE, InstallationState.NEVER_SEEN])
async def test_those_of_one_state_that_is_not_fresh_are_a_range_of_an_index(
    plans: tuple[QueryDatabase, list[dict[str, Any]]], state: InstallationState
) -> None:
    database, seen = plans
    filters = InstallationFilters(states=frozenset({state}))
    for sort in (InstallationSort.LONGEST_SILENT, InstallationSort.LATEST_READING):
        page = await installations_page(database, reach=Reach(BIG), filters=filters, sort=sort, cursor=None, limit=99)
        assert len(page.items) == 99
    assert max(map(rows_read, seen)) <= 3 * 100


async def test_a_caller_of_many_properties_does_not_read_them_all_for_a_page_by_serial(
    plans: tuple[QueryDatabase, list[dict[str, Any]]], engine: AsyncEngine
) -> None:
    database, seen = plans
    page = await installations_page(
        database,
        reach=await half_of_the_properties(engine),
        filters=InstallationFilters(),
        sort=InstallationSort.METER_SERIAL,
        cursor=None,
        limit=99,
    )
    assert len(page.items) == 99
    assert sum(map(statuses_read, seen)) == 100
    assert sum(map(rows_read, seen)) < INSTALLATIONS / 4


async def test_the_summary_looks_up_the_status_only_of_those_that_are_not_fresh(
    plans: tuple[QueryDatabase, list[dict[str, Any]]], engine: AsyncEngine
) -> None:
    database, seen = plans
    for reach, counted in ((Reach(BIG), INSTALLATIONS), (await half_of_the_properties(engine), INSTALLATIONS / 2)):
        seen.clear()
        summary = await installations_summary(database, reach=reach, filters=InstallationFilters())
        assert summary.total == counted
        assert 0 < sum(map(statuses_read, seen)) < INSTALLATIONS / 5
