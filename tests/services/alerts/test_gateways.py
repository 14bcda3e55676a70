"""Silent gateways: told once, and the meters behind them are not."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.operations import gateways
from services.alerts.operations.folding import fold
from services.alerts.operations.gateways import GatewaysSwept, sweep_gateways
from services.alerts.queries.gateways import GatewaySubject, lock_silent, perhaps_back
from tests.services.alerts.standing import (
    change,
    hear_gateway,
    heard,
    judged_until,
    long_registered,
    rows,
    states,
    tick,
    told,
)
from tests.support.registry import Building, add_meter, create_building

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


async def test_a_meter_that_another_gateway_hears_is_not_suppressed_and_counts_for_its_limit(
    engine: AsyncEngine,
) -> None:
    building = await heard_building(engine, meters=1)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await change(engine, "UPDATE gateway_status SET registered_at = :at, due_at = :at", at=START)
    await fold(engine, [heard(building, START + HOUR, gateway_id=other.gateway_id)], START)
    await change(engine, "UPDATE tenant SET stale_after = interval '24 hours'")
    for table in ("gateway_status", "installation_status"):
        await change(engine, f"UPDATE {table} SET due_at = :at", at=START)
    await hear_gateway(engine, other.gateway_id, START + 10 * HOUR)
    await tick(engine, START + 18 * HOUR)
    silent = "SELECT gateway_id FROM gateway_status WHERE state = 'silent'"
    assert await rows(engine, silent) == [(building.gateway_id,)]
    await tick(engine, START + 25 * HOUR)
    assert await told(engine) == ["gateway.silent", "installation.stale"]
    # Three quarters of the limit of the one that it heard last.
    await tick(engine, START + 28 * HOUR)
    assert len(await rows(engine, silent)) == 2


async def test_its_event_says_what_it_should_hear_and_where(engine: AsyncEngine) -> None:
    building = await heard_building(engine, meters=2)
    await change(
        engine, "UPDATE meter_installation SET deleted_at = :at WHERE meter_serial = '70000001'", at=START + HOUR
    )
    await tick(engine, START + 36 * HOUR)
    await hear_gateway(engine, building.gateway_id, START + 40 * HOUR)
    await tick(engine, START + 41 * HOUR)
    silent, recovered = [
        event["data"] for (event,) in await rows(engine, "SELECT event FROM delivery ORDER BY position")
    ]
    for data in (silent, recovered):
        assert (data["gateway_id"], data["installations"], data["properties"]) == (building.gateway_id, 1, 1)
        assert data["addresses"] == ["Testvej 1, 8000 Aarhus"]
        assert datetime.fromisoformat(data["silent_since"]) == START
    assert datetime.fromisoformat(silent["since"]) == START
    assert datetime.fromisoformat(recovered["since"]) == START + 40 * HOUR


async def test_its_event_counts_what_it_was_the_last_to_hear_too(engine: AsyncEngine) -> None:
    building = await heard_building(engine, meters=2)
    neighbour = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await add_meter(engine, neighbour, "80000000")
    await long_registered(engine, START)
    await hear_gateway(engine, neighbour.gateway_id, START)
    await fold(engine, [heard(building, START + HOUR, gateway_id=neighbour.gateway_id)], START + HOUR)
    await hear_gateway(engine, building.gateway_id, START + HOUR)
    await tick(engine, START + HOUR)
    await tick(engine, START + 36 * HOUR)
    ((data,),) = await rows(engine, "SELECT event -> 'data' FROM delivery WHERE event_type = 'gateway.silent'")
    assert (data["gateway_id"], data["installations"], data["properties"]) == (neighbour.gateway_id, 2, 2)


async def test_one_that_is_heard_of_late_is_back_also_by_what_it_said_before_it_was_silent_for_too_long(
    engine: AsyncEngine,
) -> None:
    building = await heard_building(engine)
    await tick(engine, START + 36 * HOUR)
    await hear_gateway(engine, building.gateway_id, START + HOUR)
    await tick(engine, START + 36 * HOUR + HOUR / 2)
    assert await told(engine) == ["gateway.silent", "gateway.recovered"]
    assert await rows(engine, "SELECT closed_because FROM alert") == [("heard",)]


async def test_more_than_are_judged_at_a_time_fall_silent_and_are_back_in_one_sweep(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "AT_MOST", 2)
    buildings = [await create_building(engine, meters=1, gateway_id=f"GW-{number}") for number in range(7)]
    await long_registered(engine, START)
    assert await sweep_gateways(engine, START, START) == GatewaysSwept(silent=7)
    for building in buildings:
        await hear_gateway(engine, building.gateway_id, START)
    async with engine.begin() as other, asyncio.timeout(20):
        # Another replica has these: they are left out, and not looked for again and again.
        await other.execute(text("SELECT FROM gateway_status WHERE gateway_id < 'GW-3' FOR UPDATE"))
        assert await sweep_gateways(engine, START, START) == GatewaysSwept(back=4)
    judged_from = "SELECT count(*) FROM installation_status WHERE judged_from = :at"
    assert await rows(engine, judged_from, at=START) == [(4,)]
    assert await sweep_gateways(engine, START, START) == GatewaysSwept(back=3)
    assert await rows(engine, judged_from, at=START) == [(7,)]


async def test_one_that_said_something_while_nobody_judged_and_is_silent_again_stays_silent(
    engine: AsyncEngine,
) -> None:
    building = await heard_building(engine)
    await tick(engine, START + 36 * HOUR)
    await hear_gateway(engine, building.gateway_id, START + 40 * HOUR)
    for looked_at in (1, 0):
        # It is looked at once, and not in each sweep for as long as it is silent.
        async with engine.connect() as connection:
            found = await perhaps_back(connection, START + 90 * HOUR, after="", at_most=10)
        assert len(found) == looked_at
        await tick(engine, START + 90 * HOUR)
    assert await told(engine) == ["gateway.silent"]
    await hear_gateway(engine, building.gateway_id, START + 91 * HOUR)
    await tick(engine, START + 91 * HOUR)
    assert await told(engine) == ["gateway.silent", "gateway.recovered"]


async def test_one_that_is_heard_while_it_is_judged_is_back_with_all_that_is_behind_it(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found as one that spoke of old: its meters are not locked, so it has its turn in the next sweep."""
    building = await heard_building(engine)
    for hours in (36, 50):
        await tick(engine, START + hours * HOUR)
    await hear_gateway(engine, building.gateway_id, START + HOUR)
    back = START + 60 * HOUR

    async def heard_meanwhile(connection: AsyncConnection, ids: Sequence[str], until: datetime) -> list[GatewaySubject]:
        await hear_gateway(engine, building.gateway_id, back)
        return await lock_silent(connection, ids, until)

    monkeypatch.setattr(gateways, "lock_silent", heard_meanwhile)
    await tick(engine, back)
    assert await told(engine) == ["gateway.silent"]
    await tick(engine, back)
    assert await told(engine) == ["gateway.silent", "gateway.recovered"]
    judged_from = await rows(engine, "SELECT judged_from FROM installation_status")
    assert judged_from == [(back,), (back,)]


async def test_new_meters_with_a_short_limit_do_not_outrun_the_silence_of_their_gateway(engine: AsyncEngine) -> None:
    # By the server's clock, which says when the triggers make a gateway due.
    heard_at = datetime.now(UTC) - HOUR
    building = await create_building(engine, meters=1)
    await change(
        engine,
        "INSERT INTO policy (tenant_id, medium, stale_after) VALUES (:tenant, 'electricity', interval '4 hours')",
        tenant=building.tenant_id,
    )
    await long_registered(engine, heard_at)
    await hear_gateway(engine, building.gateway_id, heard_at)
    await fold(engine, [heard(building, heard_at)], heard_at)
    await tick(engine, datetime.now(UTC))
    assert await rows(engine, "SELECT due_at FROM gateway_status") == [(heard_at + 36 * HOUR,)]
    for number in range(3):
        await add_meter(engine, building, f"8000000{number}", medium="electricity", installed_at=heard_at)
    for hours in (2, 3, 4, 5):
        await tick(engine, heard_at + hours * HOUR)
        assert await told(engine) == (["gateway.silent"] if hours >= 3 else [])


@pytest.mark.parametrize(
    ("every", "silent_after", "short_limit"),
    [(48, None, None), (24, None, 12), (24, 20, None)],
    ids=["lost messages", "a short limit of another meter", "a short limit of its own"],
)
async def test_a_dead_meter_is_found_behind_a_gateway_that_comes_and_goes(
    engine: AsyncEngine, every: int, silent_after: int | None, short_limit: int | None
) -> None:
    building = await heard_building(engine)
    await change(engine, "UPDATE gateway SET silent_after = :after", after=silent_after and silent_after * HOUR)
    if short_limit:
        other = await add_meter(engine, building, "70009999")
        await change(
            engine,
            "INSERT INTO policy (tenant_id, installation_id, stale_after) VALUES (:tenant, :installation, :limit)",
            tenant=building.tenant_id,
            installation=other,
            limit=short_limit * HOUR,
        )
        await long_registered(engine, START)
    for hours in range(0, 24 * 14, 2):
        at = START + hours * HOUR
        if hours % every == 0:
            await hear_gateway(engine, building.gateway_id, at)
            await fold(engine, [heard(building, at, number=1)], at)
        await tick(engine, at)
    found = await rows(
        engine,
        "SELECT meter_serial FROM alert a JOIN meter_installation i ON i.id = a.installation_id"
        " WHERE a.installation_id = ANY (:ids)",
        ids=building.installation_ids[:2],
    )
    assert found == [("70000000",)]


async def test_meters_of_a_gateway_that_is_replaced_are_judged_afresh_and_a_dead_one_is_told(
    engine: AsyncEngine,
) -> None:
    building = await heard_building(engine)
    for hours in (36, 50):
        await tick(engine, START + hours * HOUR)
    replaced_at = START + 60 * HOUR
    new = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await judged_until(engine, replaced_at)
    await change(engine, "UPDATE meter_installation SET gateway_id = :id", id=new.gateway_id)
    for table in ("gateway_status", "installation_status"):
        await change(engine, f"UPDATE {table} SET due_at = :at WHERE due_at > :at", at=replaced_at)
    await hear_gateway(engine, new.gateway_id, replaced_at)
    await tick(engine, replaced_at)
    assert await rows(engine, "SELECT type FROM alert WHERE closed_at IS NULL") == [("gateway.silent",)]
    await fold(engine, [heard(building, replaced_at + HOUR, number=1, gateway_id=new.gateway_id)], replaced_at + HOUR)
    for hours in range(2, 49):
        await hear_gateway(engine, new.gateway_id, replaced_at + hours * HOUR)
        await tick(engine, replaced_at + hours * HOUR)
        assert (await told(engine)).count("installation.stale") == (1 if hours == 48 else 0)
