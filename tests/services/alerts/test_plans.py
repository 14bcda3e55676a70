"""What the database does for alerts: it looks up what a batch needs, and does not read what there is."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.queries.compiled import compiled
from services.alerts.queries.subjects import SUBJECTS
from tests.services.alerts.standing import change
from tests.support.registry import create_building

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


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


async def test_the_limits_of_a_batch_are_looked_up_and_not_read_with_all_policies(engine: AsyncEngine) -> None:
    await make_policies(engine)
    batch = SUBJECTS.limit(BATCH)
    plan = await plan_of(engine, *compiled(batch))
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "policy"]
    assert {node["Node Type"] for node in scans} == {"Index Scan"}
    assert plan["Actual Rows"] == BATCH
