"""The migrated schema is the metadata's, and the guards in it hold."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database import SERVICE_ROLES, TooPowerfulRoleError, open_engine, refuse_powerful_role
from shared.migrations.runner import MigrationError, downgrade, migrate
from shared.models import Base
from tests.support.databases import Database, create_database, drop_database, execute
from tests.support.registry import create_building
from tests.support.servers import Servers

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    ORDER BY 1, 2
"""
CONSTRAINTS = """
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
    FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'
      AND k.contype IN ('p', 'u', 'f', 'c') ORDER BY 1, 2
"""
INDEXES = """
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2
"""


@pytest.fixture
async def metadata_database(servers: Servers, template: Database) -> AsyncIterator[AsyncEngine]:
    """A database with the tables as the models say, made without migrations."""
    bare = Database(servers.database_url, f"{template.name}_metadata", template.logins)
    await create_database(servers.database_url, bare.name)
    async with open_engine(bare.owner_url, application_name="mbus-tests") as engine:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield engine
    await drop_database(servers.database_url, bare.name)


async def catalogue(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


@pytest.mark.parametrize("query", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "constraints", "indexes"])
async def test_migrated_schema_equals_the_metadata(
    engine: AsyncEngine, metadata_database: AsyncEngine, query: str
) -> None:
    expected = await catalogue(metadata_database, query)
    assert expected
    assert await catalogue(engine, query) == expected


async def test_every_constraint_has_a_name_of_the_convention(engine: AsyncEngine) -> None:
    names = [str(name) for _, name, _ in await catalogue(engine, CONSTRAINTS)]
    assert names
    assert [name for name in names if not name.startswith(("pk_", "uq_", "ck_", "fk_"))] == []


async def test_migrating_twice_changes_nothing_and_down_and_up_again_works(database: Database) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        before = await catalogue(engine, COLUMNS)
        await migrate(engine)
        assert await catalogue(engine, COLUMNS) == before
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "base")
        assert await catalogue(engine, COLUMNS) == []
        await migrate(engine)
        assert await catalogue(engine, COLUMNS) == before


async def test_reading_is_a_hypertable_exactly_where_timescaledb_is_loaded(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        loaded = "timescaledb" in str(await connection.scalar(text("SHOW shared_preload_libraries")))
        installed = bool(await connection.scalar(text("SELECT count(*) FROM pg_extension WHERE extname='timescaledb'")))
        assert installed == loaded
        if loaded:
            dimensions = await connection.execute(
                text("SELECT column_name, time_interval FROM timescaledb_information.dimensions")
            )
            assert [tuple(row) for row in dimensions] == [("timestamp", timedelta(days=30))]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM meter_installation",
        "TRUNCATE meter_installation CASCADE",
        "UPDATE meter_installation SET id = gen_random_uuid()",
        "UPDATE meter_installation SET tenant_id = gen_random_uuid()",
        "DELETE FROM unit",
    ],
)
async def test_an_installation_cannot_be_removed_or_moved_even_by_the_owner(
    engine: AsyncEngine, statement: str
) -> None:
    await create_building(engine)
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(text(statement))


async def test_a_changed_value_leaves_the_old_one_in_reading_correction(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    (installation,) = building.installation_ids
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO reading VALUES (:id, :at, 1.5, :first)"),
            {"id": installation, "at": first, "first": first},
        )
        await connection.execute(text("UPDATE reading SET value = 2.5, received_at = :second"), {"second": second})
        await connection.execute(text("UPDATE reading SET rssi_dbm = -70"))
        corrections = await connection.execute(
            text("SELECT old_value, new_value, old_received_at, new_received_at FROM reading_correction")
        )
        assert [tuple(row) for row in corrections] == [(1.5, 2.5, first, second)]


async def test_services_refuse_the_owner_and_accept_their_own_roles(database: Database) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as owner:
        with pytest.raises(TooPowerfulRoleError, match="superuser"):
            await refuse_powerful_role(owner, service_role="mbus_query")
    for role in SERVICE_ROLES:
        async with open_engine(database.url_of(role), application_name="mbus-tests") as engine:
            await refuse_powerful_role(engine, service_role=role)


async def test_alerts_may_take_the_role_of_its_http_face_and_is_not_bound_by_its_policies(database: Database) -> None:
    """Policies of a role hold for who inherits from it, and the planner takes them for filters of the service's."""
    url = database.url_of("mbus_alerts")
    async with open_engine(url, application_name="mbus-tests") as engine, engine.connect() as connection:
        plan = (await connection.execute(text("EXPLAIN SELECT FROM property"))).scalars().all()
        assert not any("InitPlan" in line for line in plan)
        await connection.execute(text("SELECT set_config('role', 'mbus_alerts_api', true)"))
        plan = (await connection.execute(text("EXPLAIN SELECT FROM property"))).scalars().all()
        assert any("InitPlan" in line for line in plan)


async def privileges(connection: AsyncConnection, role: str) -> dict[str, str]:
    rows = await connection.execute(
        text(
            "SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)"
            " FROM information_schema.role_table_grants WHERE grantee = :role AND table_schema = 'public' GROUP BY 1"
        ),
        {"role": role},
    )
    return {str(table): str(granted) for table, granted in rows}


async def test_each_role_may_do_what_it_needs_and_no_more(engine: AsyncEngine) -> None:
    registry = ("tenant", "property", "property_config", "unit", "gateway", "meter_installation")
    expected = {
        "mbus_ingest": {
            "gateway": "SELECT",
            "meter_installation": "SELECT",
            "reading": "INSERT SELECT UPDATE",
            "reading_correction": "INSERT",
            "quarantined_reading": "INSERT SELECT UPDATE",
            "registry_version": "SELECT",
            "gateway_heard": "INSERT SELECT UPDATE",
            "ingest_session": "DELETE INSERT SELECT UPDATE",
            "pipeline": "SELECT",
            "change_batch": "INSERT SELECT",
        },
        "mbus_query": dict.fromkeys((*registry, "installation_status"), "SELECT"),
        "mbus_alerts": {
            **dict.fromkeys(("tenant", "property", "unit", "gateway", "meter_installation"), "SELECT"),
            **dict.fromkeys(("reading", "gateway_heard", "policy", "maintenance_window"), "SELECT"),
            **dict.fromkeys(("installation_status", "gateway_status", "pipeline"), "SELECT UPDATE"),
            "ingest_session": "DELETE SELECT",
            "alert": "INSERT SELECT UPDATE",
            "delivery": "DELETE INSERT SELECT UPDATE",
            "subscription": "SELECT UPDATE",
            "subscription_secret": "DELETE SELECT",
            "alert_stream": "INSERT SELECT UPDATE",
        },
        "mbus_alerts_api": {
            **dict.fromkeys(("tenant", "property", "unit", "gateway", "meter_installation", "alert"), "SELECT"),
            **dict.fromkeys(("installation_status", "gateway_status", "gateway_heard"), "SELECT"),
            **dict.fromkeys(("policy", "maintenance_window"), "DELETE INSERT SELECT UPDATE"),
            "subscription": "INSERT SELECT UPDATE",
            "delivery": "INSERT SELECT",
            "subscription_secret": "DELETE",
            "alert_stream": "SELECT",
        },
        "mbus_reader": dict.fromkeys(("property", "unit", "meter_installation", "reading", "change_batch"), "SELECT"),
    }
    async with engine.connect() as connection:
        assert {role: await privileges(connection, role) for role in expected} == expected


@pytest.fixture
async def modest_owner(servers: Servers, template: Database) -> AsyncIterator[tuple[str, str]]:
    """A database of an owner who is no superuser: the owner's name and URL."""
    name = f"{template.name}_owner"
    await execute(servers.database_url, f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'modest'")
    await create_database(servers.database_url, name)
    await execute(servers.database_url, f"ALTER DATABASE {name} OWNER TO {name}")
    url = make_url(servers.database_url).set(database=name, username=name, password="modest")
    yield name, url.render_as_string(hide_password=False)
    await drop_database(servers.database_url, name)
    await execute(servers.database_url, f"DROP ROLE {name}")


async def test_an_owner_who_is_no_superuser_is_told_which_roles_to_be_handed_and_then_can_migrate(
    servers: Servers, modest_owner: tuple[str, str]
) -> None:
    name, url = modest_owner
    async with open_engine(url, application_name="mbus-tests") as engine:
        with pytest.raises(MigrationError, match=f"GRANT mbus_alerts, .* TO {name} WITH ADMIN OPTION") as refused:
            await migrate(engine)
        await execute(servers.database_url, str(refused.value).partition(" say ")[2])
        await migrate(engine)
        assert await catalogue(engine, INDEXES)
