"""What a change of rules or of the registry lets alerts look again at: all that it concerns, whoever else is at it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.operations.folding import fold
from tests.services.alerts.standing import (
    change,
    hear_gateway,
    heard,
    judged_until,
    long_registered,
    rows,
    states,
    store,
    tick,
    told,
    touched,
)
from tests.support.messages import eventually
from tests.support.registry import Building, add_meter, create_building

START = datetime(2026, 3, 6, 11, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

POLICY = "INSERT INTO policy (tenant_id, property_id, stale_after) VALUES (:tenant, :house, interval '1 day')"
OF_A_METER = "INSERT INTO policy (tenant_id, installation_id, stale_after) VALUES (:tenant, :meter, interval '1 day')"


async def estate(engine: AsyncEngine) -> tuple[Building, Building]:
    """Two buildings of one tenant: three heat meters, and two heat meters with one for water."""
    one = await create_building(engine, meters=3)
    other = await create_building(engine, meters=0, tenant_id=one.tenant_id)
    for serial, medium in (("1", "heat"), ("2", "heat"), ("3", "water")):
        await add_meter(engine, other, serial, medium=medium)
    return one, other


@asynccontextmanager
async def meanwhile(engine: AsyncEngine, statement: str, **values: object) -> AsyncIterator[AsyncConnection]:
    """While another transaction, which has done this, goes on, and commits at the end."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)
        yield connection


async def somebody_waits(engine: AsyncEngine) -> None:
    async def does_anybody() -> bool:
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(await rows(engine, waiting))

    await eventually(does_anybody)


async def test_a_policy_concerns_what_has_no_more_specific_one_and_the_gateways_of_that(engine: AsyncEngine) -> None:
    one, other = await estate(engine)
    own, *_ = one.installation_ids
    *_, water = other.installation_ids
    values = {"tenant": one.tenant_id, "house": one.property_id, "meter": own}
    here, there = {one.gateway_id}, {other.gateway_id}
    of_medium = "INSERT INTO policy (tenant_id, medium, stale_after) VALUES (:tenant, :medium, interval '1 day')"
    of_all = "INSERT INTO policy (tenant_id, stale_after) VALUES (:tenant, interval '1 day')"
    assert await touched(engine, OF_A_METER, **values) == ({own}, here)
    assert await touched(engine, POLICY, **values) == ({*one.installation_ids} - {own}, here)
    assert await touched(engine, of_medium, tenant=one.tenant_id, medium="heat") == (
        {*other.installation_ids} - {water},
        there,
    )
    assert await touched(engine, of_all, **values) == ({water}, there)
    limit = "UPDATE tenant SET stale_after = interval '30 hours'"
    assert await touched(engine, limit) == ({water}, there)
    # What ceases to hold leaves it to the next.
    assert await touched(engine, "DELETE FROM policy WHERE installation_id = :meter", **values) == ({own}, here)
    assert await touched(engine, "DELETE FROM policy WHERE property_id = :house", **values) == (
        {*one.installation_ids},
        here,
    )


async def test_a_tenants_time_zone_concerns_what_goes_by_it(engine: AsyncEngine) -> None:
    one, other = await estate(engine)
    for building, zone in ((one, None), (other, "Europe/London")):
        await change(
            engine,
            "INSERT INTO policy (tenant_id, property_id, stale_after, time_zone)"
            " VALUES (:tenant, :house, interval '1 day', :zone)",
            tenant=one.tenant_id,
            house=building.property_id,
            zone=zone,
        )
    assert await touched(engine, "UPDATE tenant SET time_zone = 'Europe/Oslo'") == (
        {*one.installation_ids},
        {one.gateway_id},
    )
    assert await touched(engine, "UPDATE tenant SET name = 'Other'") == (set(), set())


async def test_policies_that_are_written_together_concern_what_each_of_them_is_of_before_and_after(
    engine: AsyncEngine,
) -> None:
    one, other = await estate(engine)
    values = {"tenant": one.tenant_id, "house": one.property_id, "medium": "water"}
    both = "INSERT INTO policy (tenant_id, property_id, medium, stale_after) VALUES"
    both += " (:tenant, :house, NULL, interval '1 day'), (:tenant, NULL, :medium, interval '2 days')"
    *heat, water = other.installation_ids
    gateways = {one.gateway_id, other.gateway_id}
    assert await touched(engine, both, **values) == ({*one.installation_ids, water}, gateways)
    moved = "UPDATE policy SET property_id = :house WHERE property_id IS NOT NULL"
    assert await touched(engine, moved, house=other.property_id) == ({*one.installation_ids, *heat, water}, gateways)


async def test_a_meter_concerns_the_gateways_that_it_had_has_and_was_heard_by(engine: AsyncEngine) -> None:
    one, other = await estate(engine)
    third = await create_building(engine, meters=0, tenant_id=one.tenant_id)
    meter, *_ = one.installation_ids
    await fold(engine, [heard(one, START, gateway_id=third.gateway_id)], START)
    moved = "UPDATE meter_installation SET gateway_id = :gateway WHERE id = :meter"
    assert await touched(engine, moved, gateway=other.gateway_id, meter=meter) == (
        {meter},
        {one.gateway_id, other.gateway_id, third.gateway_id},
    )
    assert await touched(engine, "UPDATE meter_installation SET value_field = 'total'") == (set(), set())


async def test_a_gateway_that_is_disabled_concerns_what_it_is_to_hear_and_what_it_heard(engine: AsyncEngine) -> None:
    one, other = await estate(engine)
    meter, *_ = one.installation_ids
    await fold(engine, [heard(one, START, gateway_id=other.gateway_id)], START)
    values = {"gateway": other.gateway_id}
    longer = "UPDATE gateway SET silent_after = interval '1 day' WHERE id = :gateway"
    assert await touched(engine, longer, **values) == (set(), {other.gateway_id})
    disabled = "UPDATE gateway SET deleted_at = now() WHERE id = :gateway"
    assert await touched(engine, disabled, **values) == (
        {meter, *other.installation_ids},
        {one.gateway_id, other.gateway_id},
    )


async def test_rules_that_change_twice_before_a_sweep_take_no_event_from_a_silence_that_waited(
    engine: AsyncEngine,
) -> None:
    building = await create_building(engine, meters=1)
    await change(engine, "UPDATE gateway SET silent_after = interval '1 year'")
    await long_registered(engine, START)
    (installation,) = building.installation_ids
    await store(engine, installation, [START - 48 * HOUR])
    await fold(engine, [heard(building, START - 48 * HOUR)], START - 48 * HOUR)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START - HOUR)
    await judged_until(engine, START)
    for hours in (47, 46):
        await change(engine, f"UPDATE tenant SET stale_after = interval '{hours} hours'")
    await tick(engine, START)
    assert await told(engine) == ["installation.stale"]


GATEWAY = "SELECT state FROM gateway_status FOR UPDATE"
LATER = "UPDATE gateway_status SET due_at = now() + interval '1 day'"


async def test_a_gateway_that_a_sweep_judges_by_the_old_rules_is_looked_at_again(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await judged_until(engine, START)
    install = "UPDATE meter_installation SET installed_at = :at"
    await change(engine, install, at=START)
    async with meanwhile(engine, GATEWAY) as sweep:
        changing = asyncio.create_task(change(engine, install, at=START + HOUR))
        await somebody_waits(engine)
        await sweep.execute(text(LATER))
    await changing
    assert await rows(engine, "SELECT gateway_id FROM gateway_status WHERE due_at <= now()") == [(building.gateway_id,)]


async def test_a_gateway_that_a_sweep_judges_is_looked_at_again_for_a_meter_that_it_hears_now(
    engine: AsyncEngine,
) -> None:
    building = await create_building(engine, meters=1)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await change(engine, "UPDATE gateway_status SET due_at = registered_at")
    async with meanwhile(engine, GATEWAY) as sweep:
        folding = asyncio.create_task(fold(engine, [heard(building, START, gateway_id=other.gateway_id)], START))
        await somebody_waits(engine)
        await sweep.execute(text(LATER))
    await folding
    assert await rows(engine, "SELECT gateway_id FROM gateway_status WHERE due_at <= now()") == [(other.gateway_id,)]


@pytest.mark.parametrize(
    "first",
    [
        "DELETE FROM policy WHERE installation_id = :meter",
        "UPDATE policy SET property_id = :elsewhere, installation_id = NULL WHERE installation_id = :meter",
    ],
)
async def test_a_policy_waits_for_what_becomes_of_a_more_specific_one(engine: AsyncEngine, first: str) -> None:
    one, other = await estate(engine)
    meter, *_ = one.installation_ids
    values = {"tenant": one.tenant_id, "house": one.property_id, "meter": meter, "elsewhere": other.property_id}
    await change(engine, OF_A_METER, **values)
    async with meanwhile(engine, first, **values):
        changing = asyncio.create_task(touched(engine, POLICY, **values))
        await somebody_waits(engine)
    installations, _ = await changing
    assert installations == {*one.installation_ids}


REGISTER = (
    "INSERT INTO meter_installation (tenant_id, unit_id, meter_serial, medium, unit_of_measure, installed_at)"
    " VALUES (:tenant, :unit, '9', 'heat', 'kWh', now())"
)


@pytest.mark.parametrize(
    "registered",
    [
        "UPDATE meter_installation SET unit_id = :unit WHERE unit_id <> :unit",
        REGISTER,
    ],
)
async def test_a_policy_waits_for_meters_that_come_to_what_it_is_of(engine: AsyncEngine, registered: str) -> None:
    one, _ = await estate(engine)
    values = {"tenant": one.tenant_id, "house": one.property_id, "unit": one.unit_id}
    async with meanwhile(engine, registered, **values):
        changing = asyncio.create_task(touched(engine, POLICY, **values))
        await somebody_waits(engine)
    installations, _ = await changing
    here = await rows(engine, "SELECT id FROM meter_installation WHERE unit_id = :unit", unit=one.unit_id)
    assert installations == {meter for (meter,) in here}


async def test_a_meter_that_waited_to_be_judged_does_not_outrun_the_silence_of_its_gateway(engine: AsyncEngine) -> None:
    """Judged is up to a moment that is a second before the rules change."""
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START - 20 * HOUR)
    await fold(engine, [heard(building, START - 20 * HOUR)], START - 20 * HOUR)
    await tick(engine, START)
    await change(engine, "UPDATE installation_status SET due_at = :at", at=START)
    await judged_until(engine, START)
    await change(engine, POLICY.replace("1 day", "4 hours"), tenant=building.tenant_id, house=building.property_id)
    await tick(engine, START)
    assert (await states(engine), await told(engine)) == (["stale"], [])
    assert await rows(engine, "SELECT type, opened_because FROM alert") == [("gateway.silent", "rules_changed")]
