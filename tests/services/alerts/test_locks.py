"""Whoever writes statuses at once: nobody waits in a circle."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.folding import fold
from services.alerts.operations.rebuild import rebuild
from shared.clock import utc_now
from shared.registry import carrying_out
from shared.registry.operations import import_registry, register_gateway
from tests.services.alerts.standing import change, hear_gateway, heard, long_registered, rows, tick
from tests.shared.registry.files import records
from tests.support.registry import Building

START = datetime(2026, 3, 6, 11, tzinfo=UTC)
HOUR = timedelta(hours=1)

METERS = 60
EXPECTED = [f"GW-{number}" for number in range(5)]
AT_TIMES = "GW-at-times"
"""One that hears meters of others, and is out of use now and then."""
ROUNDS = 12

Write = Callable[[AsyncEngine, Building, Random], Awaitable[object]]


async def registered(engine: AsyncEngine, random: Random, *, at_most: int = METERS) -> None:
    """Some meters in any order and at any gateway, as a file says."""
    numbers = random.sample(range(METERS), at_most)
    file = [
        {"meter_serial": str(number), "unit": f"{number % 3}. tv", "gateway_id": random.choice(EXPECTED)}
        for number in numbers
    ]
    await import_registry(engine, records(*file), clock=utc_now)


async def imports(engine: AsyncEngine, _: Building, random: Random) -> None:
    await registered(engine, random, at_most=30)


async def folds(engine: AsyncEngine, building: Building, random: Random) -> None:
    for _ in range(5):
        at = START - random.random() * 60 * HOUR
        numbers = random.sample(range(METERS), 20)
        events = [
            heard(building, at, number=number, gateway_id=random.choice([*EXPECTED, AT_TIMES])) for number in numbers
        ]
        await fold(engine, events, at)


async def sweeps(engine: AsyncEngine, _: Building, random: Random) -> None:
    await hear_gateway(engine, random.choice([*EXPECTED, AT_TIMES]), START)
    await change(engine, "UPDATE pipeline SET judged_until = :at", at=START)
    await tick(engine, utc_now() if random.random() < 0.5 else START)


async def policies(engine: AsyncEngine, building: Building, random: Random) -> None:
    hours = random.randrange(10, 90)
    values = {"tenant": building.tenant_id, "limit": hours * HOUR}
    insert = "INSERT INTO policy (tenant_id, {0}, stale_after) VALUES (:tenant, {1}, :limit) ON CONFLICT DO NOTHING"
    await change(engine, insert.format("medium", "'heat'"), **values)
    await change(
        engine,
        insert.format("installation_id", ":meter"),
        meter=building.installation_ids[random.randrange(METERS)],
        **values,
    )
    await change(engine, "UPDATE policy SET stale_after = :limit", limit=hours * HOUR)
    await change(engine, "DELETE FROM policy WHERE medium IS NOT NULL")


async def tenants_and_gateways(engine: AsyncEngine, _: Building, random: Random) -> None:
    limit = random.randrange(10, 90) * HOUR
    await change(engine, "UPDATE tenant SET stale_after = :limit", limit=limit)
    await change(engine, "UPDATE gateway SET silent_after = :limit", limit=limit)
    for deleted_at in (START, None):
        await change(engine, "UPDATE gateway SET deleted_at = :at WHERE id = :id", id=AT_TIMES, at=deleted_at)


async def rebuilds(engine: AsyncEngine, building: Building, _: Random) -> None:
    assert [batch async for batch in rebuild(engine, building.tenant_id, START)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_folds_sweeps_rules_and_registry_at_once_never_wait_in_a_circle(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # So that an import is several statements.
    monkeypatch.setattr(carrying_out, "ROWS_A_STATEMENT", 10)
    await registered(engine, Random(seed))
    await register_gateway(engine, AT_TIMES, tenant="acme", name=None)
    await long_registered(engine, START)
    meters = await rows(engine, "SELECT meter_serial, id, tenant_id, unit_id FROM meter_installation")
    _, _, tenant_id, unit_id = meters[0]
    building = Building(tenant_id, unit_id, unit_id, AT_TIMES, meters={row[0]: row[1] for row in meters})
    deadlocks = []

    async def repeat(write: Write, random: Random) -> None:
        for _ in range(ROUNDS):
            try:
                await write(engine, building, random)
            except DBAPIError as error:
                if getattr(error.driver_exception, "sqlstate", None) != "40P01":
                    raise
                deadlocks.append(write.__name__)

    writers: list[Write] = [folds, folds, sweeps, sweeps, policies, policies, tenants_and_gateways, imports, rebuilds]
    async with asyncio.timeout(240):
        await asyncio.gather(*(repeat(write, Random(seed * 100 + n)) for n, write in enumerate(writers)))
    assert deadlocks == []
