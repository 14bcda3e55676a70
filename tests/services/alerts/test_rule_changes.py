"""What people change takes effect at once, and makes no event: they know it."""

from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.folding import fold
from tests.services.alerts.standing import (
    TOUCHED,
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
from tests.support.registry import Building, create_building

# A Friday noon in Denmark.
START = datetime(2026, 3, 6, 11, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def prepared(engine: AsyncEngine, *, meters: int = 1, silent_for: timedelta = 30 * HOUR) -> Building:
    """Meters that have been silent for so long at `START`; their gateway has not. All is known by then."""
    building = await create_building(engine, meters=meters)
    await change(engine, "UPDATE gateway SET silent_after = interval '1 year'")
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    for number, installation_id in enumerate(building.installation_ids):
        await store(engine, installation_id, [START - silent_for])
        await fold(engine, [heard(building, START - silent_for, number=number)], START - silent_for)
    await tick(engine, START)
    await judged_until(engine, START)
    return building


async def decide(engine: AsyncEngine, building: Building, **policy: object) -> None:
    """Make a policy; what its trigger makes due at the server's time is due at once by the test's."""
    columns = {"tenant_id": building.tenant_id, "stale_after": 48 * HOUR, **policy}
    names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    await decided(engine, f"INSERT INTO policy ({names}) VALUES ({values})", **columns)


async def decided(engine: AsyncEngine, statement: str, **values: object) -> None:
    """Carry out the statement; what its triggers make due at the server's time is due at once by the test's."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)
        for table in ("installation_status", "gateway_status"):
            touched = f"UPDATE {table} SET due_at = least(due_at, :now) WHERE {TOUCHED}"
            await connection.execute(text(touched), {"now": START})


async def reasons(engine: AsyncEngine) -> list[tuple[str, str | None]]:
    """Why alerts were opened and closed."""
    found = await rows(engine, "SELECT opened_because, closed_because FROM alert ORDER BY opened_at, id")
    return [(opened, closed) for opened, closed in found]


@pytest.mark.parametrize("target", ["installation_id", "property_id", "medium", None])
async def test_a_shorter_limit_and_its_removal_take_effect_without_an_event_each(
    engine: AsyncEngine, target: str | None
) -> None:
    building = await prepared(engine, meters=3)
    of = {
        "installation_id": building.installation_ids[0],
        "property_id": building.property_id,
        "medium": "heat",
    }
    await decide(engine, building, stale_after=24 * HOUR, **({target: of[target]} if target else {}))
    await tick(engine, START)
    silent = 1 if target == "installation_id" else 3
    assert await states(engine) == ["stale"] * silent + ["fresh"] * (3 - silent)
    assert await reasons(engine) == [("rules_changed", None)] * silent
    await decided(engine, "DELETE FROM policy")
    await tick(engine, START + HOUR)
    assert await states(engine) == ["fresh"] * 3
    assert await reasons(engine) == [("rules_changed", "rules_changed")] * silent
    assert await told(engine) == []


async def test_the_most_specific_policy_wins_whole(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    limits = "SELECT state FROM installation_status"
    of_installation = {"installation_id": building.installation_ids[0], "stale_after": 31 * HOUR}
    for policy, state in (
        ({"stale_after": 29 * HOUR}, "stale"),
        ({"medium": "heat", "stale_after": 31 * HOUR}, "fresh"),
        ({"property_id": building.property_id, "stale_after": 29 * HOUR}, "stale"),
        # Whole: without a time that is quiet it has none, whatever the others say.
        (of_installation, "fresh"),
    ):
        await decide(engine, building, **policy)
        await tick(engine, START)
        assert await rows(engine, limits) == [(state,)]
    quiet = "UPDATE policy SET quiet_weekdays = '{5}' WHERE installation_id IS NULL"
    await decided(engine, quiet)
    await tick(engine, START + HOUR)
    assert await rows(engine, limits) == [("stale",)]


async def test_policies_of_others_do_not_concern_it(engine: AsyncEngine) -> None:
    building = await prepared(engine, meters=2)
    other = await create_building(engine, meters=1)
    near = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    short = {"stale_after": HOUR}
    await decide(engine, other, **short)
    await decide(engine, building, medium="water", **short)
    await decide(engine, building, property_id=near.property_id, **short)
    await decide(engine, building, installation_id=building.installation_ids[1], **short)
    await tick(engine, START)
    mine = await rows(
        engine,
        "SELECT state FROM installation_status WHERE installation_id = ANY (:ids) ORDER BY state",
        ids=building.installation_ids,
    )
    assert mine == [("fresh",), ("stale",)]


async def test_silence_that_comes_after_the_change_is_told_and_its_end_too(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    await decide(engine, building, stale_after=31 * HOUR)
    await tick(engine, START)
    assert await told(engine) == []
    await tick(engine, START + HOUR)
    assert await told(engine) == ["installation.stale"]
    await fold(engine, [heard(building, START + HOUR)], START + HOUR)
    assert await told(engine) == ["installation.stale", "installation.recovered"]


async def test_a_silence_that_waited_to_be_judged_when_the_rules_changed_is_told_all_the_same(
    engine: AsyncEngine,
) -> None:
    building = await prepared(engine)
    due_at = START + 18 * HOUR
    await hear_gateway(engine, building.gateway_id, due_at)
    await judged_until(engine, due_at)
    await decide(engine, building, medium="gas", stale_after=31 * HOUR)
    await decided(engine, "UPDATE tenant SET stale_after = interval '47 hours'")
    await tick(engine, due_at)
    assert await told(engine) == ["installation.stale"]


@pytest.mark.parametrize(("stale_after", "looked_at"), [(60 * HOUR, 0), (61 * HOUR, 3)])
async def test_a_policy_that_is_written_again_makes_due_only_what_it_changes(
    engine: AsyncEngine, stale_after: timedelta, looked_at: int
) -> None:
    building = await prepared(engine, meters=2)
    await decide(engine, building, stale_after=60 * HOUR)
    await tick(engine, START)
    statement = "UPDATE policy SET stale_after = :stale_after, note = 'why'"
    installations, gateways = await touched(engine, statement, stale_after=stale_after)
    assert len(installations) + len(gateways) == looked_at


async def test_what_was_opened_quietly_is_closed_quietly_by_a_reading(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    await decide(engine, building, stale_after=24 * HOUR)
    await tick(engine, START)
    await fold(engine, [heard(building, START)], START)
    assert await states(engine) == ["fresh"]
    assert await reasons(engine) == [("rules_changed", "heard")]
    assert await told(engine) == []


async def test_an_alert_that_was_told_is_closed_by_a_longer_limit_without_an_event(engine: AsyncEngine) -> None:
    await prepared(engine, silent_for=50 * HOUR)
    assert await told(engine) == ["installation.stale"]
    await decided(engine, "UPDATE tenant SET stale_after = interval '60 hours'")
    await tick(engine, START)
    assert (await states(engine), await told(engine)) == (["fresh"], ["installation.stale"])
    assert await reasons(engine) == [("silence", "rules_changed")]
    await tick(engine, START + 10 * HOUR)
    assert await told(engine) == ["installation.stale", "installation.stale"]


async def test_the_tenants_time_zone_says_when_days_are_quiet(engine: AsyncEngine) -> None:
    """Heard at 23:30 of a Friday in London, which is Saturday in Denmark, where Monday begins an hour earlier, too."""
    building = await prepared(engine)
    heard_at = START + 12.5 * HOUR
    await fold(engine, [heard(building, heard_at)], heard_at)
    await change(engine, "UPDATE tenant SET time_zone = 'Europe/London'")
    await decide(engine, building, stale_after=24 * HOUR, quiet_weekdays=[6, 7])
    due_in_denmark = START + 3 * DAY + 12 * HOUR
    await tick(engine, due_in_denmark)
    assert await states(engine) == ["fresh"]
    await decided(engine, "UPDATE tenant SET time_zone = 'Europe/Copenhagen'")
    await tick(engine, due_in_denmark)
    assert await states(engine) == ["stale"]
    # A policy's own zone is above it.
    await decided(engine, "UPDATE policy SET time_zone = 'Europe/London'")
    await tick(engine, due_in_denmark)
    assert await states(engine) == ["fresh"]


async def test_grace_puts_off_what_a_new_installation_is_due(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    await change(engine, "UPDATE installation_status SET registered_at = :at", at=START)
    await decide(engine, building, stale_after=HOUR, grace=10 * DAY)
    await tick(engine, START + 10 * DAY - HOUR)
    assert await told(engine) == []
    await tick(engine, START + 10 * DAY)
    assert await told(engine) == ["installation.stale"]


async def test_a_deleted_one_has_no_alert_and_one_that_is_back_is_judged_afresh(engine: AsyncEngine) -> None:
    await prepared(engine, silent_for=50 * HOUR)
    await decided(engine, "UPDATE meter_installation SET deleted_at = :at", at=START)
    await tick(engine, START)
    assert await reasons(engine) == [("silence", "removed")]
    await tick(engine, START + DAY)
    await decided(engine, "UPDATE meter_installation SET deleted_at = NULL")
    await tick(engine, START + DAY)
    await tick(engine, START + 3 * DAY - HOUR)
    assert (await reasons(engine))[1:] == []
    await tick(engine, START + 3 * DAY)
    assert (await reasons(engine))[1:] == [("silence", None)]
    assert await told(engine) == ["installation.stale", "installation.stale"]


async def test_one_that_is_moved_has_the_policy_of_where_it_is(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await decide(engine, other, property_id=other.property_id, stale_after=24 * HOUR)
    await tick(engine, START)
    assert await states(engine) == ["fresh"]
    await decided(engine, "UPDATE meter_installation SET unit_id = :unit", unit=other.unit_id)
    await tick(engine, START)
    assert await states(engine) == ["stale"]
    assert await told(engine) == []


async def test_a_change_of_dates_is_judged_at_once(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1, installed_at=START - 5 * HOUR)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START)
    assert await states(engine) == ["never_seen"]
    await judged_until(engine, START)
    await decided(engine, "UPDATE meter_installation SET installed_at = :at", at=START - 60 * HOUR)
    await tick(engine, START)
    assert await states(engine) == ["stale"]
    await decided(engine, "UPDATE meter_installation SET installed_at = :at", at=START - HOUR)
    await tick(engine, START)
    assert await states(engine) == ["never_seen"]
    assert await told(engine) == []


async def test_a_gateway_that_is_disabled_has_no_alert_and_its_meters_are_judged_afresh(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    await decided(engine, "UPDATE gateway SET silent_after = interval '1 hour'")
    await judged_until(engine, START + 2 * HOUR)
    await tick(engine, START + 2 * HOUR)
    assert await told(engine) == ["gateway.silent"]
    await tick(engine, START + 20 * HOUR)
    assert await states(engine) == ["stale"]
    await decided(engine, "UPDATE gateway SET deleted_at = :at WHERE id = :id", at=START, id=building.gateway_id)
    await tick(engine, START + 20 * HOUR)
    assert await reasons(engine) == [("silence", "removed")]
    await tick(engine, START + 68 * HOUR - HOUR)
    assert await told(engine) == ["gateway.silent"]
    await tick(engine, START + 68 * HOUR)
    assert await told(engine) == ["gateway.silent", "installation.stale"]


async def test_a_gateways_limit_follows_those_of_its_installations_without_an_event(engine: AsyncEngine) -> None:
    building = await prepared(engine)
    await decided(engine, "UPDATE gateway SET silent_after = NULL")
    await tick(engine, START + 10 * HOUR)
    await judged_until(engine, START + 10 * HOUR)
    state = "SELECT state FROM gateway_status"
    assert await rows(engine, state) == [("heard",)]
    await decide(engine, building, stale_after=12 * HOUR)
    await tick(engine, START + 10 * HOUR)
    assert await rows(engine, state) == [("silent",)]
    await decided(engine, "DELETE FROM policy")
    await tick(engine, START + 10 * HOUR)
    assert await rows(engine, state) == [("heard",)]
    assert await told(engine) == []


@pytest.mark.parametrize(
    "quiet",
    [
        {"time_zone": "Mars/Phobos", "quiet_weekdays": [6, 7]},
        {"time_zone": "Europe", "quiet_weekdays": [6, 7]},
        {"quiet_weekdays": [1, 2, 3, 4, 5, 6], "quiet_from": time(0, 1), "quiet_until": time(0, 0)},
    ],
)
async def test_quiet_times_that_cannot_be_are_left_out_and_stop_nobody(
    engine: AsyncEngine, quiet: dict[str, object]
) -> None:
    building = await prepared(engine, meters=2)
    await decide(engine, building, stale_after=32 * HOUR, **quiet)
    for hours in (0, 1):
        await tick(engine, START + hours * HOUR)
        assert await states(engine) == ["fresh", "fresh"]
    await tick(engine, START + 2 * HOUR)
    assert await states(engine) == ["stale", "stale"]
