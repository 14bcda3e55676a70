"""The database alone keeps tenants apart: what the query role can do without the filters of the code."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from services.query.queries import installation_filters, installation_summary, installations, properties
from services.query.queries.conditions import Conditions
from services.query.queries.installation_filters import InstallationFilters
from services.query.queries.installation_order import InstallationSort
from shared.http.reach import Reach
from shared.models import Base
from tests.services.query.data import add_readings
from tests.services.query.locks import take_filters_away, take_policies_away
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
ONE = "SELECT items FROM readings_newest_first($1, $2, $3, NULL, NULL, 10)"
COUNTERS = """
    SELECT string_agg(($3::uuid[])[place]::text, ',') FROM counters_showed($1, $2, $3,
        array_fill(NULL::timestamptz, ARRAY[cardinality($3::uuid[])]),
        array_fill(NULL::timestamptz, ARRAY[cardinality($3::uuid[])]),
        ARRAY[timestamptz '2026-11-01Z', '2026-11-02Z'])"""
EXPORT = "SELECT convert_from(lines, 'UTF8') FROM readings_as_{}($1, $2, $3, NULL, NULL, NULL, 10)"
SEVERAL = "SELECT items FROM readings_of_several_newest_first($1, $2, $3, $4, $5, $6, NULL, NULL, NULL, NULL, 10, 100)"


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
    everything = str(select(Base.metadata.tables[table]))
    async with engine.connect() as connection:
        all_rows = len((await connection.execute(text(everything))).all())
    async with query_database.driver_within(Reach(ours.tenant_id)) as driver:
        our_rows = len(await driver.fetch(everything))
    assert 0 < our_rows == all_rows / 2
    # A setting ends with its transaction: the same connection, out of the pool again, sees nothing.
    async with query_database.driver_for(uuid4()) as driver:
        assert await driver.fetch(everything) == []


@pytest.mark.parametrize("table", [table for table in TABLES if table != "tenant"])
async def test_a_narrowed_caller_meets_only_the_properties_that_are_set(
    query_database: QueryDatabase, buildings: tuple[Building, Building], table: str
) -> None:
    ours, theirs = buildings
    everything = str(select(Base.metadata.tables[table]))

    async def rows(reach: Reach) -> int:
        async with query_database.driver_within(reach) as connection:
            return len(await connection.fetch(everything))

    async def rows_of(*property_ids: UUID) -> int:
        return await rows(Reach(ours.tenant_id, frozenset(property_ids)))

    all_of_ours = await rows(Reach(ours.tenant_id))
    assert await rows_of(ours.property_id) == await rows_of(ours.property_id, theirs.property_id) == all_of_ours > 0
    assert await rows_of(theirs.property_id) == await rows_of() == 0


async def test_the_query_role_cannot_read_readings_by_itself(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for table reading"):
        async with query_database.driver_within(Reach(buildings[0].tenant_id)) as connection:
            await connection.fetch("SELECT FROM reading")


@pytest.mark.parametrize("lock_taken_away", [None, take_filters_away, take_policies_away])
async def test_the_page_functions_find_only_what_is_within_reach_also_with_one_lock_of_the_two(
    query_database: QueryDatabase,
    buildings: tuple[Building, Building],
    engine: AsyncEngine,
    lock_taken_away: Callable[[AsyncEngine], Awaitable[None]] | None,
) -> None:
    ours, theirs = buildings
    if lock_taken_away is not None:
        await lock_taken_away(engine)

    async def met(reach: Reach | None, building: Building) -> set[int]:
        """How many readings of the building each way to ask for them finds."""
        reach_of_it = (None, None) if reach is None else (reach.tenant_id, reach.property_ids)
        installations, properties, units = building.installation_ids, [building.property_id], [building.unit_id]
        async with query_database.driver_for(uuid4()) as connection:
            selections = (
                (installations, None, None, None),
                (installations, properties, units, ["heat"]),
                (None, properties, None, None),
                (None, None, units, None),
                (None, None, None, ["heat"]),
            )
            found = [await connection.fetchval(SEVERAL, *reach_of_it, *selection) for selection in selections]
            found.append(await connection.fetchval(ONE, *reach_of_it, installations[0]))
            found.append(await connection.fetchval(COUNTERS, *reach_of_it, installations))
            found += [
                await connection.fetchval(EXPORT.format(form), *reach_of_it, installations)
                for form in ("csv", "csv_with_decimal_comma", "ndjson")
            ]
        ids = [str(one) for one in building.installation_ids]
        return {0 if items is None else sum(items.count(one) for one in ids) for items in found}

    everywhere, here, nowhere = (
        Reach(ours.tenant_id),
        Reach(ours.tenant_id, frozenset([ours.property_id])),
        Reach(ours.tenant_id, frozenset()),
    )
    next_door = Reach(ours.tenant_id, frozenset([theirs.property_id]))
    assert await met(everywhere, ours) == await met(here, ours) == {1}
    for reach in (next_door, nowhere, None):
        assert await met(reach, ours) == {0}
    for reach in (everywhere, here, nowhere, next_door, None):
        assert await met(reach, theirs) == {0}


@pytest.mark.parametrize("lock_taken_away", [None, take_filters_away, take_policies_away])
async def test_what_is_selected_for_an_export_is_within_reach_also_with_one_lock_of_the_two(
    query_database: QueryDatabase,
    buildings: tuple[Building, Building],
    engine: AsyncEngine,
    lock_taken_away: Callable[[AsyncEngine], Awaitable[None]] | None,
) -> None:
    ours, theirs = buildings
    if lock_taken_away is not None:
        await lock_taken_away(engine)
    selections: list[tuple[object, ...]] = [(None, None, None, None), (None, None, None, ["heat"])]
    for building in buildings:
        selections += [
            (building.installation_ids, None, None, None),
            (None, [building.property_id], None, None),
            (None, None, [building.unit_id], None),
        ]

    async def found(of_tenant: UUID | None, *of_properties: UUID) -> list[set[bytes]]:
        """What each selection finds that finds anything."""
        statement = "SELECT installations FROM installations_to_export($1, $2, $3, $4, $5, $6, NULL, 100)"
        async with query_database.driver_for(uuid4()) as connection:
            ids = [
                await connection.fetchval(statement, of_tenant, of_properties or None, *selection)
                for selection in selections
            ]
        return [{together[at : at + 16] for at in range(0, len(together), 16)} for together in ids if together]

    all_of_ours = {one.bytes for one in ours.installation_ids}
    assert await found(ours.tenant_id) == [all_of_ours] * 5
    for one in await found(ours.tenant_id, ours.property_id, theirs.property_id):
        assert one == all_of_ours
    assert await found(ours.tenant_id, theirs.property_id) == await found(ours.tenant_id, uuid4()) == []
    assert await found(None) == await found(None, ours.property_id) == []


async def test_the_page_functions_leave_no_tenant_behind_on_the_connection(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    ours, _ = buildings
    async with query_database.driver_for(uuid4()) as connection:
        assert await connection.fetchval(ONE, ours.tenant_id, None, ours.installation_ids[0]) is not None
        assert await connection.fetch("SELECT FROM meter_installation") == []


async def test_nobody_but_the_query_role_may_call_what_reads_readings(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        callers = await connection.execute(
            text(
                "SELECT p.proname, array_remove(array_agg(r.rolname ORDER BY r.rolname), 'mbus_reader')"
                " FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
                " LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE p.proowner = 'mbus_reader'::regrole GROUP BY 1"
            )
        )
        assert dict(map(tuple, callers)) == {
            "changes": ["mbus_query"],
            "changes_before_batches": [],
            "changes_of_run": [],
            "counters_showed": ["mbus_query"],
            "installations_selected": [],
            "installations_to_export": ["mbus_query"],
            "readings_as_csv": ["mbus_query"],
            "readings_as_csv_with_decimal_comma": ["mbus_query"],
            "readings_as_ndjson": ["mbus_query"],
            "readings_newest_first": ["mbus_query"],
            "readings_oldest_first": ["mbus_query"],
            "readings_of_several_newest_first": ["mbus_query"],
            "readings_of_several_oldest_first": ["mbus_query"],
        }


async def all_properties(engine: AsyncEngine) -> list[UUID]:
    async with engine.connect() as connection:
        return list(await connection.scalars(text("SELECT id FROM property")))


@pytest.mark.parametrize("lock", ["the code's filters alone", "the database's policies alone"])
async def test_either_lock_alone_keeps_a_narrowed_caller_and_a_strangers_tenant_apart(
    query_database: QueryDatabase, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    ours, theirs = await create_building(engine), await create_building(engine)
    async with engine.begin() as connection:
        # A second property of ours, which the caller is not to see.
        await connection.execute(
            text(
                "WITH house AS (INSERT INTO property (tenant_id, name, address) VALUES (:tenant, 'Hidden', '')"
                " RETURNING id), flat AS (INSERT INTO unit (property_id, label) SELECT id, '1' FROM house RETURNING id)"
                " UPDATE meter_installation SET unit_id = flat.id FROM flat WHERE meter_installation.id = :moved"
            ),
            {"tenant": ours.tenant_id, "moved": ours.installation_ids[0]},
        )
        # What was there before and after one that the caller sees is in that property.
        await connection.execute(
            text("UPDATE meter_installation SET replaces_id = :before WHERE id = :after"),
            [
                {"before": ours.installation_ids[0], "after": ours.installation_ids[1]},
                {"before": ours.installation_ids[1], "after": ours.installation_ids[0]},
                {"before": ours.installation_ids[1], "after": ours.installation_ids[2]},
            ],
        )
    if lock == "the code's filters alone":
        async with engine.begin() as connection:
            for table in TABLES:
                await connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
    if lock == "the database's policies alone":
        open_to_all = Conditions(("$1::uuid IS NOT NULL",), ("true",), (ours.tenant_id,))
        monkeypatch.setattr(installation_filters, "installations_within", lambda _: open_to_all)
        monkeypatch.setattr(installations, "installations_within", lambda _: open_to_all)
        monkeypatch.setattr(properties, "WITHIN_REACH", "$1::uuid IS NOT NULL AND ($2::uuid[] IS NULL OR true)")
        for module, name, of_tenant in (
            (installations, "ROWS", "AND p.tenant_id = $1"),
            (installation_filters, "WITH_TEXT", "p.tenant_id = $1 AND "),
            (installation_filters, "OF_PROPERTIES", "p.tenant_id = $1 AND "),
        ):
            statement = getattr(module, name)
            assert of_tenant in statement
            monkeypatch.setattr(module, name, statement.replace(of_tenant, ""))
    reach = Reach(ours.tenant_id, frozenset({ours.property_id, theirs.property_id}))
    visible = set(ours.installation_ids[1:])

    async def listed(filters: InstallationFilters, sort: InstallationSort) -> set[UUID]:
        page = await installations.installations_page(
            query_database, reach=reach, filters=filters, sort=sort, cursor=None, limit=10
        )
        return {item.id for item in page.items}

    every_property = frozenset(await all_properties(engine))
    for sort in InstallationSort:
        assert await listed(InstallationFilters(), sort) == visible, sort
        assert await listed(InstallationFilters(text="e"), sort) == visible, sort
        assert await listed(InstallationFilters(property_ids=every_property), sort) == visible, sort
        assert await listed(InstallationFilters(property_ids=every_property - {ours.property_id}), sort) == set(), sort
    summary = await installation_summary.installations_summary(
        query_database, reach=reach, filters=InstallationFilters()
    )
    assert summary.total == len(visible)
    for installation_id in (*ours.installation_ids, *theirs.installation_ids):
        one = await installations.one_installation(query_database, reach=reach, installation_id=installation_id)
        assert (one is not None) == (installation_id in visible)
        if one is not None:
            neighbours = {one.replaces_id, one.replaced_by_id} - {None}
            assert neighbours == visible - {installation_id}
    houses = await properties.properties_page(query_database, reach=reach, text="", cursor=None, limit=10)
    assert [item.id for item in houses.items] == [ours.property_id]
    for property_id in (ours.property_id, theirs.property_id):
        house = await properties.one_property(query_database, reach=reach, property_id=property_id)
        assert (house is not None) == (property_id == ours.property_id)


async def test_a_connection_whose_transaction_could_not_be_ended_sees_no_tenant_when_it_is_used_again(
    query_database: QueryDatabase, buildings: tuple[Building, Building]
) -> None:
    reach = Reach(buildings[0].tenant_id)
    statement = "SELECT FROM meter_installation"
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with query_database.driver_within(reach) as connection:
            await connection.fetch("SELECT 1 / 0")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), query_database.driver_within(reach) as connection:
            await connection.fetch("SELECT pg_sleep(60)")
    for _ in range(3):
        async with query_database.driver_for(uuid4()) as connection:
            assert await connection.fetch(statement) == []
            assert await connection.fetchval("SELECT current_setting('mbus.tenant_id', true)") in {None, ""}
    async with query_database.driver_within(reach) as connection:
        assert len(await connection.fetch(statement)) == 3
