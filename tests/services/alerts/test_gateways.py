"""Silent gateways: told once, and the meters behind them are not."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.folding import fold
from tests.services.alerts.standing import hear_gateway, heard, long_registered, rows, states, tick, told
from tests.support.registry import Building, create_building

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def heard_building(engine: AsyncEngine, *, meters: int = 2) -> Building:
    """A building whose gateway and meters were heard at `START`, registered long before."""
    building = await create_building(engine, meters=meters)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    for number in range(meters):
        await fold(engine, [heard(building, START, number=number)], START)
    await tick(engine, START)
    return building


async def test_a_silent_gateway_is_told_once_and_its_meters_are_not(engine: AsyncEngine) -> None:
    await heard_building(engine)
    for hours in (35, 36, 37, 47, 48, 49, 100):
        await tick(engine, START + hours * HOUR)
        assert await told(engine) == (["gateway.silent"] if hours >= 36 else [])
    assert await states(engine) == ["stale", "stale"]


async def test_its_meters_are_judged_afresh_when_it_is_back_and_a_dead_one_is_found_then(engine: AsyncEngine) -> None:
    building = await heard_building(engine)
    for hours in (36, 50):
        await tick(engine, START + hours * HOUR)
    back = START + 60 * HOUR
    await hear_gateway(engine, building.gateway_id, back)
    await fold(engine, [heard(building, back, number=1)], back)
    await tick(engine, back)
    assert await told(engine) == ["gateway.silent", "gateway.recovered"]
    assert await states(engine) == ["stale", "fresh"]
    for hours in (10, 20, 30, 40):
        await hear_gateway(engine, building.gateway_id, back + hours * HOUR)
        await tick(engine, back + hours * HOUR)
    await fold(engine, [heard(building, back + 40 * HOUR, number=1)], back + 40 * HOUR)
    await tick(engine, back + 47 * HOUR)
    assert await told(engine) == ["gateway.silent", "gateway.recovered"]
    await tick(engine, back + 48 * HOUR)
    assert (await told(engine))[2:] == ["installation.stale"]
    assert await rows(engine, "SELECT since FROM alert WHERE type = 'installation.stale'") == [(back,)]
