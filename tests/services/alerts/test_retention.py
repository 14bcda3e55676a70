"""Events that were delivered long ago are removed; those that wait, and all alerts, stay."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Interval

from services.alerts.ingest_queue import IngestQueue
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.retention import AT_MOST, ENDS, remove_delivered
from services.alerts.rounds import Rounds
from services.alerts.watch import Watch
from shared.broker import create_broker
from shared.clock import utc_now
from shared.database import open_engine
from shared.service_database import ServiceDatabase
from tests.services.alerts.standing import change, rows
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import create_building
from tests.support.vhosts import Vhost

KEPT = timedelta(days=30)
DROP = (
    "UPDATE delivery SET delivered_at = NULL, dropped_at = delivered_at, dropped_because = 'gave_up'"
    " WHERE delivered_at IS NOT NULL"
)
LEFT = "SELECT event_type, count(*) FROM delivery GROUP BY 1 ORDER BY 1"


@pytest.fixture
async def alerts_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """With the rights of the service."""
    async with open_engine(database.alerts_url, application_name="mbus-retention") as engine:
        yield engine


async def add_events(engine: AsyncEngine, kind: str, count: int, *, delivered: str) -> None:
    await change(
        engine,
        "INSERT INTO delivery (id, event_type, event, created_at, delivered_at) SELECT gen_random_uuid(), :kind, '{}',"
        f" now() - interval '1 year', {delivered} FROM generate_series(1, :count)",
        kind=kind,
        count=count,
    )


async def add_old_and_new(engine: AsyncEngine, *, old: int) -> None:
    await add_events(engine, "old", old, delivered="now() - interval '30 days 1 minute'")
    await add_events(engine, "new", 3, delivered="now() - interval '29 days 23 hours'")
    await add_events(engine, "waiting", 5, delivered="NULL")


async def test_what_was_delivered_long_ago_goes_and_what_waits_stays_however_old(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    building = await create_building(engine, meters=1)
    await change(
        engine,
        "WITH alert AS (INSERT INTO alert (id, tenant_id, type, gateway_id, since, opened_at, opened_because)"
        " VALUES (gen_random_uuid(), :tenant, 'gateway.silent', :gateway, now(), now(), 'silence') RETURNING *)"
        " INSERT INTO delivery (id, alert_id, tenant_id, event_type, event, delivered_at)"
        " SELECT gen_random_uuid(), id, tenant_id, 'old', '{}', now() - interval '1 year' FROM alert",
        tenant=building.tenant_id,
        gateway=building.gateway_id,
    )
    await add_old_and_new(engine, old=2 * AT_MOST)
    assert await remove_delivered(alerts_engine, kept=KEPT) == 2 * AT_MOST + 1
    assert await rows(engine, LEFT) == [("new", 3), ("waiting", 5)]
    assert await rows(engine, "SELECT count(*) FROM alert WHERE closed_at IS NULL") == [(1,)]
    assert await remove_delivered(alerts_engine, kept=KEPT) == 0


async def test_what_was_dropped_long_ago_goes_too(engine: AsyncEngine, alerts_engine: AsyncEngine) -> None:
    await add_old_and_new(engine, old=7)
    await change(engine, DROP)
    assert await remove_delivered(alerts_engine, kept=KEPT) == 7
    assert await rows(engine, LEFT) == [("new", 3), ("waiting", 5)]


async def test_replicas_share_the_work_and_wait_for_nobody(engine: AsyncEngine, alerts_engine: AsyncEngine) -> None:
    await add_old_and_new(engine, old=3 * AT_MOST)
    async with engine.begin() as other:
        # One that somebody else has is left to him.
        await other.execute(text("SELECT FROM delivery WHERE event_type = 'old' ORDER BY position LIMIT 10 FOR UPDATE"))
        async with asyncio.timeout(30):
            removed = await asyncio.gather(*(remove_delivered(alerts_engine, kept=KEPT) for _ in range(4)))
    assert sum(removed) == 3 * AT_MOST - 10
    assert await rows(engine, LEFT) == [("new", 3), ("old", 10), ("waiting", 5)]


@pytest.mark.parametrize("end", ENDS, ids=["delivered", "dropped"])
async def test_it_looks_at_no_more_than_it_removes(engine: AsyncEngine, end: TextClause) -> None:
    await add_old_and_new(engine, old=100)
    await add_events(engine, "new", 10_000, delivered="now()")
    if end is ENDS[1]:
        await change(engine, DROP)
    await change(engine, "ANALYZE delivery")
    asked = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {end.text}").bindparams(bindparam("kept", type_=Interval()))
    async with engine.begin() as connection:
        (plan,) = (await connection.execute(asked, {"kept": KEPT, "at_most": AT_MOST})).scalar_one()
    assert "Seq Scan" not in str(plan)
    # A few pages for each of the hundred; by itself the table has some hundreds.
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 1_000


async def test_the_watch_does_it(engine: AsyncEngine, database: Database, vhost: Vhost) -> None:
    await add_old_and_new(engine, old=2)
    metrics = AlertsMetrics(CollectorRegistry())
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
    rounds = Rounds(service, IngestQueue(vhost.alerts_url), settle=timedelta(0), metrics=metrics, clock=utc_now)
    broker = create_broker(vhost.alerts_url, app_id="test", prefetch=1, graceful_timeout_s=0)
    watch = Watch(service, broker, rounds, keep_deliveries=KEPT, metrics=metrics)

    async def gone() -> bool:
        return await rows(engine, LEFT) == [("new", 3), ("waiting", 5)]

    async with service.open(), watch.running():
        await eventually(gone)
