"""What migrations make of what alerts knew before, and leave of it on the way back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import open_engine
from shared.migrations.runner import downgrade, migrate, upgrade
from tests.services.alerts.standing import change, rows, tick
from tests.support.databases import Database
from tests.support.registry import create_building

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


async def carry_out(connection: AsyncConnection, statements: str, values: Mapping[str, object]) -> None:
    """Statements after each other, each with those of the values that it names."""
    for statement in statements.split(";\n"):
        await connection.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})


async def test_deliveries_keep_their_order_when_they_are_numbered(database: Database) -> None:
    """One that was written again lies behind newer ones on the disk."""
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        building = await create_building(engine, meters=1)
        values = {"tenant_id": building.tenant_id, "installation_id": building.installation_ids[0]}
        deliver = text(
            "INSERT INTO delivery (id, alert_id, tenant_id, event_type, event, created_at)"
            " SELECT gen_random_uuid(), id, tenant_id, :event_type, '{}', :at FROM alert"
        )
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "0009")
            await connection.execute(
                text(
                    "INSERT INTO alert (id, tenant_id, installation_id, opened_at)"
                    " VALUES (gen_random_uuid(), :tenant_id, :installation_id, now())"
                ),
                values,
            )
            for hours, event_type in ((1, "second"), (2, "third"), (0, "first")):
                await connection.execute(deliver, {"event_type": event_type, "at": begin + timedelta(hours=hours)})
        await migrate(engine)
        async with engine.begin() as connection:
            await connection.execute(deliver, {"event_type": "new", "at": begin})
            found = await connection.execute(text("SELECT event_type, position FROM delivery ORDER BY position"))
            assert [tuple(row) for row in found] == [("first", 1), ("second", 2), ("third", 3), ("new", 4)]


BEFORE_GATEWAYS = """
    UPDATE installation_status SET last_reading_at = :at, last_gateway_id = :gateway WHERE installation_id = :first;
    UPDATE installation_status SET last_reading_at = :at, last_gateway_id = :gateway, last_received_at = :received
        WHERE installation_id = :second;
    UPDATE installation_status SET last_reading_at = :at, last_gateway_id = 'GW-that-is-gone'
        WHERE installation_id = :third;
    INSERT INTO alert (id, tenant_id, installation_id, opened_at, last_reading_at)
        VALUES (gen_random_uuid(), :tenant, :first, :received, :at);
    INSERT INTO alert (id, tenant_id, installation_id, opened_at, closed_at)
        VALUES (gen_random_uuid(), :tenant, :second, :at, :received)
"""


async def test_what_alerts_knew_before_it_judged_gateways_is_taken_over(database: Database) -> None:
    """An open alert, when a meter was registered as far as is known, and when a gateway was heard."""
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        building = await create_building(engine, meters=4, installed_at=NEW_YEAR)
        first, second, third, _ = building.installation_ids
        at, received = NEW_YEAR + timedelta(hours=1), NEW_YEAR + timedelta(hours=2)
        values = {"at": at, "received": received, "gateway": building.gateway_id, "tenant": building.tenant_id}
        values |= {"first": first, "second": second, "third": third}
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "0009")
            await carry_out(connection, BEFORE_GATEWAYS, values)
        await migrate(engine)
        registered = await rows(engine, "SELECT DISTINCT registered_at FROM installation_status")
        assert registered == [(NEW_YEAR,)]
        heard = await rows(engine, "SELECT gateway_id, heard_at FROM gateway_heard")
        assert heard == [(building.gateway_id, received)]
        gateways = await rows(engine, "SELECT gateway_id, state FROM gateway_status")
        assert gateways == [(building.gateway_id, "heard")]
        alerts = "SELECT s.installation_id, a.since, a.opened_because FROM installation_status s JOIN alert a"
        assert await rows(engine, f"{alerts} ON a.id = s.alert_id") == [(first, at, "silence")]
        closed = "SELECT installation_id, since, closed_because FROM alert WHERE closed_at IS NOT NULL"
        assert await rows(engine, closed) == [(second, at, "heard")]


OF_EVERY_TYPE = """
    INSERT INTO alert (id, tenant_id, type, gateway_id, since, opened_because, opened_at)
        VALUES (gen_random_uuid(), :tenant, 'gateway.silent', :gateway, now(), 'silence', now());
    INSERT INTO alert (id, tenant_id, type, installation_id, since, opened_because, opened_at)
        VALUES (gen_random_uuid(), :tenant, 'installation.stale', :installation, now(), 'silence', now());
    UPDATE gateway_status SET alert_id = alert.id FROM alert WHERE alert.gateway_id IS NOT NULL;
    UPDATE installation_status SET alert_id = alert.id FROM alert WHERE alert.installation_id IS NOT NULL;
    INSERT INTO delivery (id, alert_id, tenant_id, event_type, event, created_at)
        SELECT gen_random_uuid(), id, tenant_id, type, '{}', now() FROM alert;
    INSERT INTO delivery (id, event_type, event, created_at)
        VALUES (gen_random_uuid(), 'pipeline.degraded', '{}', now())
"""


async def test_alerts_of_gateways_and_events_of_the_pipeline_are_lost_on_the_way_back(database: Database) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        building = await create_building(engine, meters=1)
        (installation,) = building.installation_ids
        values = {"tenant": building.tenant_id, "gateway": building.gateway_id, "installation": installation}
        async with engine.begin() as connection:
            await carry_out(connection, OF_EVERY_TYPE, values)
            await connection.run_sync(downgrade, "0009")
        assert await rows(engine, "SELECT installation_id FROM alert") == [(installation,)]
        assert await rows(engine, "SELECT event_type FROM delivery") == [("installation.stale",)]


async def test_a_limit_of_a_gateway_beyond_the_calendar_is_brought_into_it_and_none_comes_back(
    database: Database,
) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        wild, tame = [await create_building(engine, meters=1) for _ in range(2)]
        set_limit = "UPDATE gateway SET silent_after = :limit WHERE id = :id"
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "0015")
            # As text: Python knows no such interval.
            await connection.execute(text("UPDATE gateway SET silent_after = interval '3000000 years'"))
            await connection.execute(text(set_limit), {"limit": timedelta(hours=2), "id": tame.gateway_id})
        await migrate(engine)
        limits = dict(await rows(engine, "SELECT id, silent_after FROM gateway"))
        assert limits == {wild.gateway_id: timedelta(days=3650), tame.gateway_id: timedelta(hours=2)}
        await tick(engine, datetime.now(UTC))
        for refused in (timedelta(days=3651), timedelta(0)):
            with pytest.raises(IntegrityError):
                await change(engine, set_limit, limit=refused, id=tame.gateway_id)


FUNCTIONS = """
    SELECT proname, pg_get_functiondef(p.oid), proacl::text FROM pg_proc p
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' ORDER BY 1, 2
"""
TRIGGERS = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"


async def test_what_lets_alerts_look_again_is_what_it_was_on_the_way_back(database: Database) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:

        async def made() -> list[list[tuple[object, ...]]]:
            return [await rows(engine, query) for query in (FUNCTIONS, TRIGGERS)]

        newest = await made()
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "0010")
        back = await made()
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "0009")
            await connection.run_sync(upgrade, "0010")
        assert await made() == back != newest
        await migrate(engine)
        assert await made() == newest
