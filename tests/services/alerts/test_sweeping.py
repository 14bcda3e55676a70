"""Sweeps: what they read, what they believe, and how many can sweep at once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import sweeping
from services.alerts.operations.folding import fold
from services.alerts.operations.gateways import sweep_gateways
from services.alerts.operations.sweeping import Swept, sweep
from tests.services.alerts.standing import (
    change,
    hear_gateway,
    heard,
    long_registered,
    rows,
    states,
    store,
    tick,
    told,
)
from tests.support.registry import Building, create_building

START = datetime(2026, 3, 6, 11, tzinfo=UTC)
HOUR = timedelta(hours=1)
SINCE = "SELECT state, state_since FROM installation_status"


async def live_building(engine: AsyncEngine, *, meters: int = 1, tenant_of: Building | None = None) -> Building:
    """Meters that were never heard, behind a gateway that was heard at `START`."""
    building = await create_building(engine, meters=meters, tenant_id=tenant_of.tenant_id if tenant_of else None)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    return building


async def test_what_is_stored_counts_whatever_became_of_its_event(engine: AsyncEngine) -> None:
    building = await live_building(engine)
    (installation,) = building.installation_ids
    await store(engine, installation, [START - 50 * HOUR])
    await fold(engine, [heard(building, START - 50 * HOUR)], START - 50 * HOUR)
    await store(engine, installation, [START - 5 * HOUR, START - 3 * HOUR])
    await tick(engine, START)
    assert await states(engine) == ["fresh"]
    found = await rows(engine, "SELECT last_reading_at, last_gateway_id, due_at FROM installation_status")
    assert found == [(START - 3 * HOUR, building.gateway_id, START + 45 * HOUR)]
    await hear_gateway(engine, building.gateway_id, START + 40 * HOUR)
    await tick(engine, START + 45 * HOUR)
    assert await told(engine) == ["installation.stale"]
    assert await rows(engine, "SELECT since FROM alert") == [(START - 3 * HOUR,)]


@pytest.mark.parametrize(("hours", "state"), [(3, "fresh"), (60, "stale")])
async def test_a_first_reading_that_nobody_told_of_is_one(engine: AsyncEngine, hours: int, state: str) -> None:
    building = await live_building(engine)
    read_at = START - hours * HOUR
    await store(engine, building.installation_ids[0], [read_at])
    await tick(engine, START)
    since = read_at if state == "fresh" else read_at + 48 * HOUR
    assert await rows(engine, SINCE) == [(state, since)]
    assert await rows(engine, "SELECT last_reading_at FROM installation_status") == [(read_at,)]


async def test_an_event_that_comes_after_the_sweep_found_its_reading_tells_by_which_gateway_and_changes_nothing_else(
    engine: AsyncEngine,
) -> None:
    building = await live_building(engine)
    await store(engine, building.installation_ids[0], [START])
    await tick(engine, START)
    but_for_gateway = "SELECT to_jsonb(s) - 'last_gateway_id', last_gateway_id FROM installation_status s"
    ((status, gateway_id),) = await rows(engine, but_for_gateway)
    assert gateway_id is None
    await fold(engine, [heard(building, START, received_at=START)], START)
    assert await rows(engine, but_for_gateway) == [(status, building.gateway_id)]


async def test_a_stale_one_whose_rules_change_when_its_reading_is_stored_but_not_told_recovers_with_an_event(
    engine: AsyncEngine,
) -> None:
    building = await live_building(engine)
    await tick(engine, START)
    await store(engine, building.installation_ids[0], [START])
    await change(engine, "UPDATE installation_status SET due_at = :at", at=START)
    await tick(engine, START)
    assert await told(engine) == ["installation.stale", "installation.recovered"]
    assert await rows(engine, "SELECT closed_because FROM alert") == [("heard",)]


async def test_a_sweep_reads_only_what_is_due_whatever_else_there_is(engine: AsyncEngine) -> None:
    building = await live_building(engine, meters=0)
    await change(
        engine,
        "INSERT INTO meter_installation (tenant_id, unit_id, gateway_id, meter_serial, medium, unit_of_measure,"
        " installed_at) SELECT :tenant, :unit, :gateway, 'S' || n, 'heat', 'kWh', :installed"
        " FROM generate_series(1, 20000) AS n",
        tenant=building.tenant_id,
        unit=building.unit_id,
        gateway=building.gateway_id,
        installed=START - HOUR,
    )
    await change(engine, "UPDATE installation_status SET due_at = :at", at=START + HOUR)
    await tick(engine, START)
    await change(engine, "ANALYZE installation_status, meter_installation")
    ((silent,),) = await rows(engine, "SELECT id FROM meter_installation WHERE meter_serial = 'S7'")
    await change(engine, "UPDATE meter_installation SET installed_at = '2026-01-01' WHERE id = :id", id=silent)
    await change(
        engine,
        "UPDATE installation_status SET due_at = :at, registered_at = '2026-01-01' WHERE installation_id = :id",
        at=START,
        id=silent,
    )
    await sweep_gateways(engine, START, START)
    before = await rows_read(engine)
    assert (await sweep(engine, START, START)).stale == 1
    # By the counters of the server itself: a scan of all would have read 20,000.
    assert await rows_read(engine) - before < 200


async def rows_read(engine: AsyncEngine) -> int:
    await change(engine, "SELECT pg_stat_force_next_flush()")
    found = await rows(engine, "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables")
    return int(found[0][0])


async def test_many_replicas_report_each_silence_once(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "AT_MOST", 7)
    await live_building(engine, meters=40)
    await sweep_gateways(engine, START, START)
    swept = await asyncio.gather(*(sweep(engine, START, START) for _ in range(4)))
    assert sum(swept, Swept()) == Swept(judged=40, stale=40, alerts=40)
    assert await rows(engine, "SELECT count(*), count(DISTINCT installation_id) FROM alert") == [(40, 40)]
    assert await rows(engine, "SELECT count(*), count(DISTINCT alert_id) FROM delivery") == [(40, 40)]


async def test_what_falls_due_now_does_not_wait_behind_all_that_a_change_of_rules_made_due(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "AT_MOST", 3)
    changed = await live_building(engine, meters=20)
    silent = await live_building(engine, meters=1)
    await change(engine, "UPDATE meter_installation SET installed_at = :at", at=START - HOUR)
    await change(engine, "UPDATE installation_status SET due_at = :at", at=START - timedelta(seconds=9))
    (installation,) = silent.installation_ids
    await store(engine, installation, [START - 48 * HOUR])
    await fold(engine, [heard(silent, START - 48 * HOUR)], START - 48 * HOUR)
    await change(
        engine, "UPDATE installation_status SET due_at = :at WHERE installation_id = :one", at=START, one=installation
    )
    await sweep_gateways(engine, START, START)
    swept = await sweep(engine, START, START, batches=2)
    assert (swept.judged, swept.alerts, swept.unfinished) == (6, 1, True)
    rest = await sweep(engine, START, START, batches=100)
    assert (rest.judged, rest.unfinished) == (len(changed.installation_ids) + 1 - 6, False)


async def test_replicas_that_tick_at_once_report_each_gateway_once_and_none_of_its_meters(engine: AsyncEngine) -> None:
    for _ in range(8):
        await create_building(engine, meters=3)
    await long_registered(engine, START)

    async def until_all_is_judged() -> None:
        # One whose gateway another replica has in hand is put off by a second.
        for second in range(5):
            await tick(engine, START + timedelta(seconds=second))

    await asyncio.gather(*(until_all_is_judged() for _ in range(4)))
    assert await told(engine) == ["gateway.silent"] * 8
    assert await states(engine) == ["stale"] * 24


async def test_one_whose_gateway_is_not_judged_yet_waits_for_that(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    async with engine.begin() as other:
        await other.execute(text("SELECT FROM gateway_status FOR UPDATE"))
        await tick(engine, START)
        assert await rows(engine, "SELECT state, due_at FROM installation_status") == [
            ("never_seen", START + timedelta(seconds=1))
        ]
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START + timedelta(seconds=1))
    assert await told(engine) == ["installation.stale"]


async def test_sweeps_and_folds_at_once_leave_one_truth(engine: AsyncEngine) -> None:
    """Whoever comes first: in the end all are fresh, and who was told of a silence was told of its end."""
    building = await live_building(engine, meters=30)
    await sweep_gateways(engine, START, START)
    events = [heard(building, START, number=number) for number in range(30)]

    async def hear() -> None:
        for event in events:
            await fold(engine, [event], START)

    await asyncio.gather(hear(), *(sweep(engine, START, START) for _ in range(3)))
    assert await states(engine) == ["fresh"] * 30
    assert await rows(engine, "SELECT count(*) FROM installation_status WHERE alert_id IS NOT NULL") == [(0,)]
    assert await rows(engine, "SELECT count(*) FROM alert WHERE closed_at IS NULL") == [(0,)]
    events_told = await told(engine)
    assert events_told.count("installation.stale") == events_told.count("installation.recovered")
