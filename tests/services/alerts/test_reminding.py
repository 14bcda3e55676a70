"""Reminders: who is told again of a silence that lasts, when, and of what not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts import watch
from services.alerts.operations import reminding
from services.alerts.operations.folding import fold
from services.alerts.operations.reminding import remind
from services.alerts.queries.reminders import DUE, TENANTS
from shared.clock import utc_now
from shared.service_database import ServiceDatabase
from tests.services.alerts.standing import change, hear_gateway, heard, long_registered, rows, store, tick
from tests.services.alerts.test_watch import SOMEBODY_LEADS, watch_of
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.plans import nodes, rows_looked_at
from tests.support.registry import Building, add_meter, create_building
from tests.support.subscriptions import add_webhook
from tests.support.vhosts import Vhost

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

REMINDERS = """
    SELECT event #>> '{data,meter_serial}', event #>> '{data,gateway_id}', created_at FROM delivery
    WHERE event_type LIKE '%.reminder' ORDER BY position
"""


async def wants(engine: AsyncEngine, tenant_id: UUID, every: timedelta | None, **target: Any) -> None:
    """A policy of that, or of the whole tenant."""
    (column, named) = next(iter(target.items()), ("note", None))
    await change(
        engine,
        f"INSERT INTO policy (tenant_id, stale_after, remind_every, {column})"
        " VALUES (:tenant, '2 days', :every, :named)",
        tenant=tenant_id,
        every=every,
        named=named,
    )


async def fall_silent(engine: AsyncEngine, building: Building, at: datetime) -> None:
    """Its meters at that time; its gateway is heard."""
    for (gateway_id,) in await rows(engine, "SELECT id FROM gateway"):
        await hear_gateway(engine, gateway_id, at - HOUR)
    for one in building.installation_ids:
        await store(engine, one, [at - 3 * DAY])
    await tick(engine, at)


async def serials(engine: AsyncEngine, at: datetime) -> list[str]:
    """Of the meters that reminders of that time are about."""
    return sorted(serial for serial, _, made_at in await rows(engine, REMINDERS) if made_at == at)


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """Two silent meters behind a gateway that is heard; somebody subscribed."""
    building = await create_building(engine, meters=2)
    await long_registered(engine, NOON)
    await add_webhook(engine, building.tenant_id)
    await fall_silent(engine, building, NOON)
    return building


BOTH = ["70000000", "70000001"]


async def test_a_silence_that_lasts_is_told_again_and_again_as_the_policy_says(
    engine: AsyncEngine, building: Building
) -> None:
    await wants(engine, building.tenant_id, DAY)
    for at, due in (
        (NOON + DAY - timedelta(seconds=1), []),
        (NOON + DAY, BOTH),
        (NOON + DAY + HOUR, []),
        (NOON + 2 * DAY - HOUR, []),
        (NOON + 2 * DAY + HOUR, BOTH),
        (NOON + 3 * DAY, []),
        (NOON + 3 * DAY + HOUR, BOTH),
    ):
        assert await remind(engine, at) == len(due)
        assert await serials(engine, at) == due
    counted = await rows(engine, "SELECT event_type, count(*) FROM delivery GROUP BY 1 ORDER BY 1")
    assert counted == [("installation.reminder", 6), ("installation.stale", 4)], "two of these are the exchange's"


async def test_after_an_absence_of_weeks_each_is_told_once_and_the_time_counts_from_then(
    engine: AsyncEngine, building: Building
) -> None:
    await wants(engine, building.tenant_id, HOUR)
    at = NOON + 30 * DAY
    assert [await remind(engine, at + minutes * timedelta(minutes=1)) for minutes in (0, 1, 59, 60)] == [2, 0, 0, 2]


TOLD = """
    SELECT event_type, (event -> 'data')::text, event ->> 'type', event ->> 'time' FROM delivery
    WHERE subscription_id IS NOT NULL AND coalesce(event #>> '{data,meter_serial}', '70000000') = '70000000'
    ORDER BY position
"""


async def test_the_event_is_as_that_of_the_silence(engine: AsyncEngine, building: Building) -> None:
    await wants(engine, building.tenant_id, DAY)
    await remind(engine, NOON + DAY)
    stale, reminder = await rows(engine, TOLD)
    assert stale[1] == reminder[1]
    assert (stale[0], reminder[0], reminder[2]) == ("installation.stale", *["installation.reminder"] * 2)
    assert (stale[3], reminder[3]) == ("2026-11-22T12:00:00Z", "2026-11-23T12:00:00Z")
    ids = await rows(engine, "SELECT count(DISTINCT event ->> 'id') FROM delivery")
    assert ids == [(4,)], "two silences, and two reminders"


async def test_a_gateway_is_told_of_again_as_the_policy_of_the_whole_tenant_says(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=2)
    await long_registered(engine, NOON)
    await add_webhook(engine, building.tenant_id)
    await hear_gateway(engine, building.gateway_id, NOON - 3 * DAY)
    await tick(engine, NOON)
    await wants(engine, building.tenant_id, HOUR, property_id=building.property_id)
    assert await remind(engine, NOON + DAY) == 0
    await wants(engine, building.tenant_id, 2 * DAY)
    assert [await remind(engine, NOON + hours * HOUR) for hours in (47, 48, 49)] == [0, 1, 0]
    silent, reminder = await rows(engine, TOLD)
    assert silent[1] == reminder[1]
    assert (silent[0], reminder[0], reminder[2]) == ("gateway.silent", *["gateway.reminder"] * 2)


async def test_the_most_specific_policy_holds_whole(engine: AsyncEngine, building: Building) -> None:
    """None of a more general one is looked at, also where the specific one wants no reminders."""
    for serial, medium in (("water", "water"), ("gas", "gas")):
        await add_meter(engine, building, serial, medium=medium, unit_of_measure="m3")
    elsewhere = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await add_meter(engine, elsewhere, "elsewhere", medium="water", unit_of_measure="m3")
    await change(engine, "UPDATE installation_status SET registered_at = :at, due_at = :at", at=NOON - 300 * DAY)
    await fall_silent(engine, building, NOON)
    await fall_silent(engine, elsewhere, NOON)
    await wants(engine, building.tenant_id, HOUR)
    await wants(engine, building.tenant_id, 2 * HOUR, medium="water")
    await wants(engine, building.tenant_id, None, property_id=building.property_id)
    await wants(engine, building.tenant_id, 5 * HOUR, installation_id=building.meters["gas"])
    assert await remind(engine, NOON + HOUR) == 0
    for hours, due in ((2, ["elsewhere"]), (4, ["elsewhere"]), (5, ["gas"]), (6, ["elsewhere"])):
        await remind(engine, NOON + hours * HOUR)
        assert await serials(engine, NOON + hours * HOUR) == due
    await change(engine, "DELETE FROM policy WHERE property_id IS NOT NULL")
    await remind(engine, NOON + 7 * HOUR)
    assert await serials(engine, NOON + 7 * HOUR) == [*BOTH, "water"]


UNTOLD = {
    "closed": "closed_at = now(), closed_because = 'heard'",
    "acknowledged": "acknowledged_at = now(), acknowledged_by = 'ida'",
    "snoozed": "snoozed_until = timestamptz '2026-11-23 12:00:01Z', snoozed_by = 'ida'",
    "opened by changed rules": "opened_because = 'rules_changed'",
}


@pytest.mark.parametrize("how", UNTOLD)
async def test_of_some_nobody_is_told_again(engine: AsyncEngine, building: Building, how: str) -> None:
    await wants(engine, building.tenant_id, DAY)
    first = building.installation_ids[0]
    await change(engine, f"UPDATE alert SET {UNTOLD[how]} WHERE installation_id = :id", id=first)
    assert await remind(engine, NOON + DAY) == 1
    assert await serials(engine, NOON + DAY) == BOTH[1:]


async def test_a_snooze_that_is_over_delays_a_reminder_only(engine: AsyncEngine, building: Building) -> None:
    await wants(engine, building.tenant_id, DAY)
    await change(engine, "UPDATE alert SET snoozed_until = :until, snoozed_by = 'ida'", until=NOON + DAY + HOUR)
    assert [await remind(engine, NOON + DAY + minutes * timedelta(minutes=1)) for minutes in (0, 59, 60)] == [0, 0, 2]


async def test_what_is_heard_again_is_not_told_again(engine: AsyncEngine, building: Building) -> None:
    await wants(engine, building.tenant_id, DAY)
    await fold(engine, [heard(building, NOON + HOUR)], NOON + HOUR)
    assert await remind(engine, NOON + DAY) == 1
    assert await serials(engine, NOON + DAY) == BOTH[1:]


async def test_it_counts_as_told_where_nobody_wants_to_hear_of_it(engine: AsyncEngine, building: Building) -> None:
    await wants(engine, building.tenant_id, DAY)
    await change(engine, "UPDATE subscription SET event_types = '{installation.stale}'")
    assert await remind(engine, NOON + DAY) == 2
    assert await rows(engine, REMINDERS) == []
    await change(engine, "UPDATE subscription SET event_types = '{installation.reminder}'")
    assert await remind(engine, NOON + DAY + HOUR) == 0
    assert await remind(engine, NOON + 2 * DAY) == 2
    assert await serials(engine, NOON + 2 * DAY) == BOTH


async def test_without_a_policy_that_wants_them_there_are_none(engine: AsyncEngine, building: Building) -> None:
    assert await remind(engine, NOON + 365 * DAY) == 0
    stranger = await create_building(engine)
    await wants(engine, stranger.tenant_id, HOUR)
    await wants(engine, building.tenant_id, None)
    assert await remind(engine, NOON + 365 * DAY) == 0


async def test_replicas_share_the_work_and_tell_once(
    engine: AsyncEngine, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        await add_meter(engine, building, f"{number}")
    await change(engine, "UPDATE installation_status SET registered_at = :at, due_at = :at", at=NOON - 300 * DAY)
    await fall_silent(engine, building, NOON)
    await wants(engine, building.tenant_id, DAY)
    monkeypatch.setattr(reminding, "AT_MOST", 3)
    monkeypatch.setattr(reminding, "FOUND_AT_MOST", 10)
    # Each looks at the clock for itself.
    moments = [NOON + DAY + number * timedelta(milliseconds=1) for number in range(5)]
    reminded = await asyncio.gather(*(remind(engine, at) for at in moments[:4]))
    assert sum(reminded) + await remind(engine, moments[4]) == len(building.meters)
    told = [serial for serial, *_ in await rows(engine, REMINDERS)]
    assert sorted(told) == sorted(building.meters)


async def test_one_that_somebody_has_in_hand_holds_up_no_other_and_is_not_told_if_it_was_acknowledged(
    engine: AsyncEngine, building: Building
) -> None:
    await wants(engine, building.tenant_id, DAY)
    acknowledge = "UPDATE alert SET acknowledged_at = now(), acknowledged_by = 'ida' WHERE installation_id = :id"
    async with engine.connect() as connection:
        await connection.execute(text(acknowledge), {"id": building.installation_ids[0]})
        assert await remind(engine, NOON + DAY) == 1
        await connection.commit()
    assert await remind(engine, NOON + DAY + HOUR) == 0
    assert await serials(engine, NOON + DAY) == BOTH[1:]


async def test_where_judgement_is_held_nobody_is_told_again(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    now = utc_now()
    await long_registered(engine, now)
    await add_webhook(engine, building.tenant_id)
    await fall_silent(engine, building, now - DAY)
    await wants(engine, building.tenant_id, HOUR)
    registry = CollectorRegistry()
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
    idle = watch_of(service, vhost, registry)
    async with service.open():
        await idle.remind()
        assert await rows(engine, REMINDERS) == []
        assert registry.get_sample_value("mbus_alerts_reminders_total") == 0
        await change(engine, SOMEBODY_LEADS)
        await idle.remind()
        assert len(await rows(engine, REMINDERS)) == 1
        assert registry.get_sample_value("mbus_alerts_reminders_total") == 1


async def test_the_watch_does_it_while_it_runs(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "REMIND_EVERY_S", 0.1)
    building = await create_building(engine, meters=1)
    now = utc_now()
    await long_registered(engine, now)
    await add_webhook(engine, building.tenant_id)
    await fall_silent(engine, building, now - DAY)
    await wants(engine, building.tenant_id, HOUR)
    await change(engine, SOMEBODY_LEADS)
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")

    async def reminded() -> bool:
        return len(await rows(engine, REMINDERS)) == 1

    async with service.open(), watch_of(service, vhost, CollectorRegistry()).running():
        await eventually(reminded)


MANY_METERS = """
    INSERT INTO meter_installation (tenant_id, unit_id, gateway_id, meter_serial, medium, unit_of_measure, installed_at)
    SELECT :tenant, :unit, :gateway, 'm' || n, 'heat', 'kWh', '2024-01-01' FROM generate_series(1, :count) n
"""
MANY_ALERTS = """
    INSERT INTO alert (id, tenant_id, type, installation_id, since, opened_at, opened_because, reminded_at)
    SELECT gen_random_uuid(), tenant_id, 'installation.stale', id, :at, :at, 'silence', :at
    FROM meter_installation WHERE tenant_id = :tenant
"""


async def test_what_is_not_due_is_not_read(engine: AsyncEngine) -> None:
    """Three thousand silent meters, one of which is due; and as many of a tenant that wants no reminders."""
    wanting, other = [await create_building(engine, meters=0) for _ in range(2)]
    for building in (wanting, other):
        of = {"tenant": building.tenant_id, "unit": building.unit_id, "gateway": building.gateway_id}
        await change(engine, MANY_METERS, count=3000, **of)
        await change(engine, MANY_ALERTS, tenant=building.tenant_id, at=NOON)
    await change(
        engine,
        "UPDATE alert SET reminded_at = :at, opened_at = :at WHERE installation_id IN"
        " (SELECT id FROM meter_installation WHERE tenant_id = :tenant AND meter_serial = 'm7')",
        at=NOON - HOUR,
        tenant=wanting.tenant_id,
    )
    await wants(engine, wanting.tenant_id, DAY)
    await change(engine, "ANALYZE")
    asked = {"now": NOON + DAY - HOUR, "tenant_id": wanting.tenant_id, "shortest": DAY, "at_most": 20_000}
    assert await rows(engine, str(TENANTS), now=NOON + DAY - 2 * HOUR) == []
    assert await rows(engine, str(TENANTS), now=asked["now"]) == [(wanting.tenant_id, DAY)]
    read = 0
    for statement in (TENANTS, DUE):
        async with engine.connect() as connection:
            explain = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            (plan,) = (await connection.execute(explain, asked)).scalar_one()
        assert plan["Plan"]["Actual Rows"] == 1
        read += sum(rows_looked_at(node) for node in nodes(plan["Plan"]) if node.get("Relation Name") == "alert")
    assert read < 10
    assert await remind(engine, NOON + DAY - HOUR) == 1
