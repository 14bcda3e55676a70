"""What the database does for alerts: it looks up what a batch needs, and does not read what there is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api.app import callers_database
from services.alerts.queries.alerts import AlertFilters, AlertState, alerts_page
from services.alerts.queries.compiled import compiled
from services.alerts.queries.deliveries import DeliveryFilters, deliveries_page
from services.alerts.queries.delivery_fields import DeliveredType, DeliveryState
from services.alerts.queries.subjects import SUBJECTS
from services.alerts.settings import AlertsSettings
from shared.clock import utc_now
from shared.http.cursors import encode_cursor
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase
from shared.models import AlertType, Medium
from tests.services.alerts.standing import change
from tests.support.plans import Explained, nodes, rows_looked_at
from tests.support.registry import Building, add_meter, create_building
from tests.support.subscriptions import add_webhook

POLICIES = 5000
BATCH = 500

METERS = """
    INSERT INTO meter_installation (tenant_id, unit_id, gateway_id, meter_serial, medium, unit_of_measure, installed_at)
    SELECT :tenant, :unit, :gateway, n, 'heat', 'kWh', '2024-01-01' FROM generate_series(1, 1000) n
"""
HOUSES = "INSERT INTO property (tenant_id, name, address) SELECT :tenant, n, '' FROM generate_series(1, :count) n"
OF_HOUSES = """
    INSERT INTO policy (tenant_id, property_id, stale_after)
    SELECT tenant_id, id, '1 day' FROM property WHERE tenant_id = :tenant
"""


async def make_policies(engine: AsyncEngine) -> None:
    """A thousand meters in one of many houses, each of which has a policy."""
    building = await create_building(engine, meters=0)
    ours = {"tenant": building.tenant_id}
    await change(engine, METERS, unit=building.unit_id, gateway=building.gateway_id, **ours)
    await change(engine, HOUSES, count=POLICIES - 1, **ours)
    await change(engine, "ALTER TABLE policy DISABLE TRIGGER USER")
    await change(engine, OF_HOUSES, **ours)
    await change(engine, "ANALYZE")


async def plan_of(engine: AsyncEngine, statement: str, *arguments: object) -> dict[str, Any]:
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        (explained,) = await driver.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
    plan: dict[str, Any] = explained["Plan"]
    return plan


async def test_the_limits_of_a_batch_are_looked_up_and_not_read_with_all_policies(engine: AsyncEngine) -> None:
    await make_policies(engine)
    batch = SUBJECTS.limit(BATCH)
    plan = await plan_of(engine, *compiled(batch))
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "policy"]
    assert {node["Node Type"] for node in scans} == {"Index Scan"}
    assert plan["Actual Rows"] == BATCH


LONG_CLOSED = """
    INSERT INTO alert
        (id, tenant_id, type, installation_id, since, opened_at, opened_because, closed_at, closed_because)
    SELECT gen_random_uuid(), tenant_id, 'installation.stale', id, at, at, 'silence', at, 'heard'
    FROM meter_installation CROSS JOIN LATERAL (
        SELECT timestamptz '2026-01-01' + (n * 1000 + meter_serial::int) * interval '1 minute' AS at
        FROM generate_series(0, 29) n) times
    WHERE gateway_id = :gateway
"""
MANY_READ = 1_000


@pytest.fixture
async def estate(engine: AsyncEngine) -> tuple[Building, Building]:
    """A building of a thousand meters with thirty thousand closed alerts, and one of one meter without any."""
    big = await create_building(engine, meters=0)
    small = await create_building(engine, meters=0, tenant_id=big.tenant_id)
    await add_meter(engine, small, "a", medium="water", unit_of_measure="m3")
    await change(engine, METERS, unit=big.unit_id, gateway=big.gateway_id, tenant=big.tenant_id)
    await change(engine, LONG_CLOSED, gateway=big.gateway_id)
    await change(engine, "ANALYZE")
    return big, small


@pytest.fixture
async def callers(
    settings: AlertsSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TenantDatabase, list[dict[str, Any]]]]:
    """What callers are answered from, in their role, and the plans of what is read there."""
    opened = callers_database(settings)
    seen: list[dict[str, Any]] = []
    within = opened.driver_within

    @asynccontextmanager
    async def explained(reach: Reach, *, plan_each_time: bool = False) -> AsyncIterator[Explained]:
        async with within(reach, plan_each_time=plan_each_time) as connection:
            yield Explained(connection, seen)

    monkeypatch.setattr(opened, "driver_within", explained)
    async with opened.open():
        yield opened, seen


def alerts_read(plan: dict[str, Any]) -> int:
    return sum(rows_looked_at(node) for node in nodes(plan) if node.get("Relation Name") == "alert")


@pytest.mark.parametrize("state", [AlertState.CLOSED, AlertState.ALL])
async def test_a_filter_that_finds_few_alerts_does_not_read_all_that_there_ever_were(
    callers: tuple[TenantDatabase, list[dict[str, Any]]], estate: tuple[Building, Building], state: AlertState
) -> None:
    database, seen = callers
    big, small = estate
    whole = Reach(big.tenant_id)
    for reach, filters in (
        (whole, AlertFilters(state, installation_ids=frozenset(small.installation_ids))),
        (whole, AlertFilters(state, gateway_ids=frozenset({small.gateway_id}))),
        (whole, AlertFilters(state, property_ids=frozenset({small.property_id}))),
        (whole, AlertFilters(state, media=frozenset({Medium.WATER}))),
        (whole, AlertFilters(state, types=frozenset({AlertType.GATEWAY_SILENT}))),
        (whole, AlertFilters(state, acknowledged=True)),
        (whole, AlertFilters(state, snoozed=True)),
        (whole, AlertFilters(state, opened_after=utc_now())),
        (Reach(big.tenant_id, frozenset({small.property_id})), AlertFilters(state)),
        (
            Reach(big.tenant_id, frozenset({small.property_id})),
            AlertFilters(state, property_ids=frozenset({big.property_id})),
        ),
    ):
        seen.clear()
        page = await alerts_page(database, reach=reach, filters=filters, cursor=None, limit=100, now=utc_now())
        assert page.items == []
        assert sum(map(alerts_read, seen)) < MANY_READ, filters


async def test_a_filter_that_finds_many_alerts_reads_about_a_page_of_them(
    callers: tuple[TenantDatabase, list[dict[str, Any]]], estate: tuple[Building, Building]
) -> None:
    database, seen = callers
    whole = Reach(estate[0].tenant_id)
    for filters in (
        AlertFilters(AlertState.ALL),
        AlertFilters(AlertState.CLOSED, media=frozenset({Medium.HEAT, Medium.WATER}), snoozed=False),
        AlertFilters(AlertState.CLOSED, acknowledged=False),
    ):
        seen.clear()
        page = await alerts_page(database, reach=whole, filters=filters, cursor=None, limit=100, now=utc_now())
        assert len(page.items) == 100
        assert sum(map(alerts_read, seen)) < MANY_READ, filters


# All of one subscription's are delivered, and all of another's pending.
MANY_DELIVERIES = """
    INSERT INTO delivery (id, tenant_id, subscription_id, event_type, event, created_at, wanted_since, delivered_at)
    SELECT gen_random_uuid(), :tenant, :subscription,
           CASE n % 2 WHEN 0 THEN 'installation.stale' ELSE 'installation.recovered' END, '{}', at, at,
           CASE WHEN :delivered THEN at END
    FROM generate_series(1, 50000) n CROSS JOIN LATERAL (
        SELECT timestamptz '2026-01-01' + n * interval '1 minute' AS at) made
"""
MADE_LAST = datetime(2026, 2, 4, 17, 20, tzinfo=UTC)


@pytest.fixture
async def told(engine: AsyncEngine) -> tuple[Building, dict[str, UUID]]:
    """A tenant of which 100,000 deliveries are kept: of two subscriptions, while to two others nothing was sent."""
    building = await create_building(engine, meters=0)
    names = ("delivered", "pending", "idle", "narrowed")
    hooks = {name: await add_webhook(engine, building.tenant_id, name=name) for name in names[:3]}
    hooks["narrowed"] = await add_webhook(engine, building.tenant_id, property_ids=[building.property_id])
    for name in ("delivered", "pending"):
        made = {"tenant": building.tenant_id, "subscription": hooks[name], "delivered": name == "delivered"}
        await change(engine, MANY_DELIVERIES, **made)
    await change(engine, "ANALYZE")
    return building, hooks


def deliveries_read(plan: dict[str, Any]) -> int:
    return sum(rows_looked_at(node) for node in nodes(plan) if node.get("Relation Name") == "delivery")


async def test_the_log_of_deliveries_is_looked_up_whatever_filter_it_has(
    callers: tuple[TenantDatabase, list[dict[str, Any]]], told: tuple[Building, dict[str, UUID]]
) -> None:
    database, seen = callers
    building, hooks = told
    whole, narrowed = Reach(building.tenant_id), Reach(building.tenant_id, frozenset({building.property_id}))
    one = {name: frozenset({hook}) for name, hook in hooks.items()}
    pending, delivered, dropped = (frozenset({state}) for state in DeliveryState)
    tests = frozenset({DeliveredType.SUBSCRIPTION_TEST})
    stale = frozenset({DeliveredType.INSTALLATION_STALE})
    middle = MADE_LAST - timedelta(days=17)
    full = 100
    for reach, filters, found in (
        (whole, DeliveryFilters(), full),
        (narrowed, DeliveryFilters(), 0),
        (whole, DeliveryFilters(subscription_ids=one["delivered"]), full),
        (whole, DeliveryFilters(subscription_ids=one["idle"]), 0),
        (whole, DeliveryFilters(states=pending), full),
        (whole, DeliveryFilters(states=dropped), 0),
        (whole, DeliveryFilters(states=pending | dropped), full),
        (whole, DeliveryFilters(subscription_ids=one["delivered"], states=pending), 0),
        (whole, DeliveryFilters(subscription_ids=one["pending"], states=delivered), 0),
        (whole, DeliveryFilters(types=tests), 0),
        (whole, DeliveryFilters(types=stale, states=pending), full),
        (whole, DeliveryFilters(types=tests, states=delivered), 0),
        (whole, DeliveryFilters(alert_ids=frozenset({uuid4()})), 0),
        (whole, DeliveryFilters(made_from=MADE_LAST), 2),
        (whole, DeliveryFilters(made_to=middle), full),
        (whole, DeliveryFilters(made_from=middle, made_to=middle + timedelta(hours=1)), full),
        (whole, DeliveryFilters(subscription_ids=one["pending"], made_to=middle), full),
        (whole, DeliveryFilters(made_to=datetime(2026, 1, 1, tzinfo=UTC)), 0),
    ):
        seen.clear()
        page = await deliveries_page(database, reach=reach, filters=filters, cursor=None, limit=100)
        assert len(page.items) == found, filters
        assert sum(map(deliveries_read, seen)) < MANY_READ, filters


async def test_a_later_page_of_deliveries_costs_no_more_than_the_first(
    callers: tuple[TenantDatabase, list[dict[str, Any]]], told: tuple[Building, dict[str, UUID]]
) -> None:
    database, seen = callers
    building, _ = told
    scope = ("deliveries", building.tenant_id, DeliveryFilters().bound)
    cursor = encode_cursor((MADE_LAST - timedelta(days=30), 2**62), scope=scope)
    reach = Reach(building.tenant_id)
    page = await deliveries_page(database, reach=reach, filters=DeliveryFilters(), cursor=cursor, limit=100)
    assert len(page.items) == 100
    assert sum(map(deliveries_read, seen)) < MANY_READ
