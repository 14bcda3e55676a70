"""Folding events: late, repeated and corrected ones, and which reading ended a silence."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.folding import fold
from services.alerts.operations.sweeping import sweep
from tests.services.alerts.standing import hear_gateway, heard, long_registered, rows, states, store, tick, told
from tests.support.messages import eventually
from tests.support.registry import create_building

START = datetime(2026, 3, 6, 11, tzinfo=UTC)
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
