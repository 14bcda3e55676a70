"""Folding events: late, repeated and corrected ones, and which reading ended a silence."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.folding import fold
from services.alerts.operations.sweeping import sweep
from tests.services.alerts.standing import change, hear_gateway, heard, long_registered, rows, states, store, tick, told
from tests.support.messages import eventually
from tests.support.registry import create_building

START = datetime(2026, 3, 6, 11, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

LAST = "SELECT state, last_reading_at, last_value FROM installation_status"
SINCE = "SELECT state, state_since FROM installation_status"


async def test_late_and_repeated_events_never_move_a_status_back(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    for at, value in ((START, 3.0), (START - 5 * HOUR, 1.0), (START, 9.0)):
        await fold(engine, [heard(building, at, value=value)], START)
    assert await rows(engine, LAST) == [("fresh", START, 3.0)]


async def test_a_correction_of_the_newest_reading_is_taken_over_and_what_it_corrected_does_not_come_back(
    engine: AsyncEngine,
) -> None:
    building = await create_building(engine, meters=1)
    first, second = START + timedelta(minutes=1), START + timedelta(minutes=2)
    for value, received_at in ((12.5, first), (13.5, second), (12.5, first), (14.5, None)):
        await fold(engine, [heard(building, START, value=value, received_at=received_at)], START)
    assert await rows(engine, LAST) == [("fresh", START, 13.5)]


async def test_the_same_reading_sent_again_is_as_it_came_first(engine: AsyncEngine) -> None:
    """As `reading` keeps it."""
    building = await create_building(engine, meters=1)
    for minutes, gateway_id in ((1, None), (2, "GW-other")):
        event = heard(building, START, received_at=START + timedelta(minutes=minutes), gateway_id=gateway_id)
        await fold(engine, [event], START)
    found = await rows(engine, "SELECT last_received_at, last_gateway_id FROM installation_status")
    assert found == [(START + timedelta(minutes=1), building.gateway_id)]


@pytest.mark.parametrize("before", [None, "GW-before"])
async def test_the_event_of_a_reading_that_a_sweep_found_before_it_came_tells_by_which_gateway(
    engine: AsyncEngine, before: str | None
) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    if before is not None:
        await fold(engine, [heard(building, START - 3 * DAY, gateway_id=before)], START - 3 * DAY)
    # A sweep finds its correction.
    await store(engine, building.installation_ids[0], [START], value=2.5, received_at=START + HOUR)
    await tick(engine, START + HOUR)
    by = "SELECT state, last_value, last_received_at, last_gateway_id FROM installation_status"
    found = ("fresh", 2.5, START + HOUR)
    for event, gateway_id in (
        (heard(building, START, value=1.5, received_at=START), before),
        (heard(building, START, value=2.5, received_at=START + HOUR), building.gateway_id),
        # The same sent again by another one is as it came first.
        (heard(building, START, value=2.5, received_at=START + 2 * HOUR, gateway_id="GW-other"), building.gateway_id),
    ):
        await fold(engine, [event], START + HOUR)
        assert await rows(engine, by) == [(*found, gateway_id)]


async def test_a_gateway_that_hears_the_meters_of_another_is_looked_at_once_in_ten_seconds(
    engine: AsyncEngine,
) -> None:
    building = await create_building(engine, meters=1)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await long_registered(engine, START)
    looked_at = 0
    for second in range(60):
        at = START + second * SECOND
        gateway_id = (building, other)[second % 2].gateway_id
        await hear_gateway(engine, gateway_id, at)
        await fold(engine, [heard(building, at, received_at=at, gateway_id=gateway_id)], at)
        due = await rows(engine, "SELECT gateway_id FROM gateway_status WHERE due_at <= :at ORDER BY 1", at=at)
        looked_at += len(due)
        await tick(engine, at)
    # Two for each ten seconds, and once at the beginning.
    assert 10 <= looked_at <= 14


async def test_late_and_repeated_news_let_no_gateway_be_looked_at(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await hear_gateway(engine, building.gateway_id, START)
    await hear_gateway(engine, other.gateway_id, START)
    await long_registered(engine, START)
    await fold(engine, [heard(building, START, received_at=START)], START)
    await tick(engine, START)
    due = "SELECT gateway_id, due_at FROM gateway_status"
    before = await rows(engine, due)
    for at in (START, START - HOUR):
        event = heard(building, at, received_at=START + SECOND, gateway_id=other.gateway_id)
        await fold(engine, [event], START + SECOND)
        assert await rows(engine, due) == before


async def test_a_gateway_that_hears_another_meter_is_judged_by_its_limit_before_that_is(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1, installed_at=START - HOUR)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await change(
        engine,
        "INSERT INTO policy (tenant_id, installation_id, stale_after) VALUES (:tenant, :id, interval '4 hours')",
        tenant=building.tenant_id,
        id=building.installation_ids[0],
    )
    await change(engine, "UPDATE meter_installation SET gateway_id = NULL")
    await long_registered(engine, START)
    await hear_gateway(engine, other.gateway_id, START)
    await tick(engine, START)
    # Its event comes when both have been silent for too long.
    await store(engine, building.installation_ids[0], [START], received_at=START)
    await fold(engine, [heard(building, START, received_at=START, gateway_id=other.gateway_id)], START + 5 * HOUR)
    await tick(engine, START + 5 * HOUR)
    assert await rows(engine, "SELECT gateway_id FROM gateway_status WHERE state = 'silent' ORDER BY 1") == [
        (gateway_id,) for gateway_id in sorted((building.gateway_id, other.gateway_id))
    ]
    assert await told(engine) == ["gateway.silent", "gateway.silent"]


async def test_a_back_filled_old_reading_is_no_recovery_and_a_transition_makes_one_alert(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    for _ in range(2):
        await tick(engine, START)
    assert await fold(engine, [heard(building, START - 3 * DAY)], START) == 0
    await tick(engine, START)
    assert await states(engine) == ["stale"]
    assert await fold(engine, [heard(building, START)], START) == 1
    assert await told(engine) == ["installation.stale", "installation.recovered"]
    assert await rows(engine, "SELECT count(*), count(closed_at) FROM alert") == [(1, 1)]


async def test_one_that_was_never_seen_is_fresh_since_its_first_reading_not_the_newest_of_the_first_event(
    engine: AsyncEngine,
) -> None:
    building = await create_building(engine, meters=1)
    history = [START - hours * HOUR for hours in range(0, 30, 10)]
    await store(engine, building.installation_ids[0], history)
    await fold(engine, [heard(building, START)], START)
    assert await rows(engine, SINCE) == [("fresh", START - 20 * HOUR)]


@pytest.mark.parametrize(
    ("backlog", "since"),
    [
        pytest.param([0, 1, 2], 0, id="it was silent, and is back"),
        # What was read before it fell stale ended no silence; what was read when it was, did.
        pytest.param([-80, -60, -20, 0], -20, id="its readings were late"),
        pytest.param([-47], -47, id="it was late by an hour"),
    ],
)
async def test_one_that_was_stale_is_fresh_since_the_reading_that_ended_it_and_so_says_its_event(
    engine: AsyncEngine, backlog: list[int], since: int
) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    (installation,) = building.installation_ids
    last = START - 94 * HOUR  # so it is stale since 46 hours
    await store(engine, installation, [last])
    await fold(engine, [heard(building, last)], last)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START)
    assert await rows(engine, SINCE) == [("stale", START - 46 * HOUR)]
    times = [START + hours * HOUR for hours in backlog]
    await store(engine, installation, times)
    assert await fold(engine, [heard(building, times[-1])], START) == 1
    assert await rows(engine, SINCE) == [("fresh", START + since * HOUR)]
    event = "SELECT (event #>> '{data,since}')::timestamptz FROM delivery WHERE event_type = 'installation.recovered'"
    assert await rows(engine, event) == [(START + since * HOUR,)]


async def test_folds_of_the_same_installations_at_once_do_not_block_each_other_for_ever(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=20)
    batches = [
        [
            heard(building, START + step * HOUR, number=number)
            for number in (range(20) if step % 2 else range(19, -1, -1))
        ]
        for step in range(10)
    ]
    await asyncio.gather(*(fold(engine, batch, START) for batch in batches))
    assert await rows(engine, "SELECT DISTINCT last_reading_at FROM installation_status") == [(START + 9 * HOUR,)]


async def test_a_fold_waits_for_the_sweep_that_has_its_installation_and_recovers_it_then(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START)
    async with engine.begin() as other:
        await other.execute(text("SELECT FROM installation_status FOR UPDATE"))
        folding = asyncio.create_task(fold(engine, [heard(building, START)], START))

        async def waits() -> bool:
            found = await rows(engine, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return bool(found[0][0])

        await eventually(waits)
        # A sweep does not wait: whoever has it looks at it.
        assert (await sweep(engine, START, START)).judged == 0
        assert not folding.done()
    assert await folding == 1
