"""`rebuild`: what events made of the status, `reading` makes of it, too."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import rebuild as operation
from services.alerts.operations.folding import fold
from services.alerts.operations.rebuild import rebuild
from services.alerts.operations.sweeping import sweep
from shared.messages.readings_stored import ReadingsStored
from tests.cli.commands import mbus
from tests.services.alerts.standing import change, hear_gateway, heard, long_registered, rows, store, tick, told
from tests.support.databases import Database
from tests.support.registry import Building, create_building

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

STATUS = """
    SELECT meter_serial, state, state_since, last_reading_at, last_value, last_rssi_dbm, last_battery_level_pct,
           last_gateway_id, s.due_at, judged_from, rules_changed_at, alert_id
    FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id ORDER BY meter_serial
"""
KNOWN_BY_READINGS = """
    SELECT meter_serial, state, last_reading_at, last_value, last_rssi_dbm, last_battery_level_pct, alert_id
    FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id ORDER BY meter_serial
"""


async def rebuilt(engine: AsyncEngine, at: datetime | None) -> tuple[int, int]:
    """How many were looked at and changed; without a moment, as of the database's clock."""
    looked_at = changed = 0
    async for batch in rebuild(engine, None, at):
        looked_at, changed = looked_at + batch.looked_at, changed + batch.changed
    return looked_at, changed


class Life:
    """Days in the life of a building: what its meters and people do, and alerts does, by chance."""

    def __init__(self, engine: AsyncEngine, building: Building, chance: Random) -> None:
        self.engine, self.building, self.chance = engine, building, chance
        self.at = START
        self.untold: list[ReadingsStored] = []
        self.told: list[ReadingsStored] = []

    async def step(self) -> None:
        self.at += self.chance.choice((0, 1, 7, 20)) * HOUR
        await self.chance.choice((self.read, self.read, self.fold, self.fold, self.repeat, self.look, self.decide))()

    async def read(self) -> None:
        """A reading is stored, of now or of long ago, new, repeated or a correction; its event will come."""
        number = self.chance.randrange(len(self.building.installation_ids))
        at = self.at - self.chance.choice((0, 0, 1, 30, 60, 200)) * HOUR
        value = float(self.chance.randrange(2))
        installation_id = self.building.installation_ids[number]
        await store(self.engine, installation_id, [at], value=value, received_at=self.at)
        await hear_gateway(self.engine, self.building.gateway_id, self.at)
        self.untold.append(heard(self.building, at, number=number, value=value, received_at=self.at))

    async def fold(self) -> None:
        """Some events arrive, in any order."""
        self.chance.shuffle(self.untold)
        arrived = self.untold[: self.chance.randrange(1, 4)]
        del self.untold[: len(arrived)]
        self.told += arrived
        await fold(self.engine, arrived, self.at)

    async def repeat(self) -> None:
        if self.told:
            await fold(self.engine, [self.chance.choice(self.told)], self.at)

    async def look(self) -> None:
        await tick(self.engine, self.at)

    async def decide(self) -> None:
        """People decide something else."""
        hours = self.chance.choice((24, 48, 72))
        await change(self.engine, "UPDATE tenant SET stale_after = make_interval(hours => :hours)", hours=hours)
        await change(self.engine, "UPDATE installation_status SET due_at = :at", at=self.at)
        await change(self.engine, "UPDATE gateway_status SET due_at = :at", at=self.at)

    async def end(self) -> None:
        """All events have come, and everything is judged."""
        await fold(self.engine, self.untold, self.at)
        await tick(self.engine, self.at)


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_folded_and_swept_is_the_same_rebuilt(engine: AsyncEngine, seed: int) -> None:
    building = await create_building(engine, meters=4)
    await long_registered(engine, START)
    life = Life(engine, building, Random(seed))
    for _ in range(50):
        await life.step()
    await life.end()
    before, events = await rows(engine, STATUS), await told(engine)
    assert {state for _, state, *_ in before} != {"never_seen"}
    assert (await rebuilt(engine, life.at)) == (4, 0)
    await tick(engine, life.at)
    assert await rows(engine, STATUS) == before
    assert await told(engine) == events


@pytest.mark.parametrize("seed", range(2))
async def test_what_was_lost_is_found_again_and_nobody_is_told_anything_twice(engine: AsyncEngine, seed: int) -> None:
    building = await create_building(engine, meters=4)
    # That its gateway was silent, and until when, is known by nothing but the status.
    await change(engine, "UPDATE gateway SET silent_after = interval '9 years'")
    await long_registered(engine, START)
    life = Life(engine, building, Random(seed))
    for _ in range(50):
        await life.step()
    await life.end()
    before, events = await rows(engine, KNOWN_BY_READINGS), await told(engine)
    await change(engine, "DELETE FROM installation_status")
    await rebuilt(engine, life.at)
    await tick(engine, life.at)
    assert await rows(engine, KNOWN_BY_READINGS) == before
    assert await told(engine) == events


async def test_one_that_is_stale_and_was_heard_recovers_with_its_event(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START)
    await store(engine, building.installation_ids[0], [START, START + HOUR])
    assert await rebuilt(engine, START + HOUR) == (1, 1)
    assert await told(engine) == ["installation.stale", "installation.recovered"]
    found = await rows(engine, "SELECT state, state_since, last_reading_at, alert_id FROM installation_status")
    assert found == [("fresh", START, START + HOUR, None)]
    assert await rows(engine, "SELECT closed_because FROM alert") == [("heard",)]


async def test_a_lost_status_is_judged_afresh_as_before_if_its_gateway_was_silent_meanwhile(
    engine: AsyncEngine,
) -> None:
    building = await create_building(engine, meters=3)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    for number, installation_id in enumerate(building.installation_ids):
        await store(engine, installation_id, [START])
        await fold(engine, [heard(building, START, number=number)], START)
    for hours in (0, 36, 50):
        await tick(engine, START + hours * HOUR)
    back = START + 60 * HOUR
    await hear_gateway(engine, building.gateway_id, back)
    await tick(engine, back)
    judged_from = "SELECT DISTINCT judged_from FROM installation_status"
    assert await rows(engine, judged_from) == [(back,)]
    await change(engine, "DELETE FROM installation_status")
    await rebuilt(engine, back)
    assert await rows(engine, judged_from) == [(back,)]
    await tick(engine, back + HOUR)
    assert await told(engine) == ["gateway.silent", "gateway.recovered"]


async def test_what_recovers_does_so_by_the_clock_of_the_database(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START)
    ((now,),) = await rows(engine, "SELECT clock_timestamp()")
    await store(engine, building.installation_ids[0], [now])
    assert await rebuilt(engine, None) == (1, 1)
    closed = "SELECT closed_at BETWEEN :now AND clock_timestamp() FROM alert"
    assert await rows(engine, closed, now=now) == [(True,)]


async def test_it_calls_nobody_silent_but_leaves_it_to_the_next_look(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await fold(engine, [heard(building, START)], START)
    await store(engine, building.installation_ids[0], [START - 9 * HOUR])
    late = START + 40 * HOUR
    await rebuilt(engine, late)
    assert await rows(engine, "SELECT state, last_reading_at FROM installation_status") == [("fresh", START - 9 * HOUR)]
    await hear_gateway(engine, building.gateway_id, late)
    await tick(engine, late)
    assert await told(engine) == ["installation.stale"]


async def test_a_change_of_rules_that_waits_to_be_judged_is_not_forgotten(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, START)
    await hear_gateway(engine, building.gateway_id, START)
    await tick(engine, START)
    await change(engine, "UPDATE tenant SET stale_after = interval '9 years'")
    await rebuilt(engine, START)
    # By the server's clock, at which the triggers make it due.
    await sweep(engine, datetime.now(UTC), START)
    assert await rows(engine, "SELECT type, closed_because FROM alert") == [("installation.stale", "rules_changed")]


async def test_a_reading_that_is_in_no_table_is_forgotten(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await fold(engine, [heard(building, START)], START)
    await rebuilt(engine, START)
    found = await rows(engine, "SELECT state, last_reading_at, last_value FROM installation_status")
    assert found == [("never_seen", None, None)]


async def test_the_command_rebuilds_one_tenant_in_batches(
    engine: AsyncEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = [await create_building(engine, meters=5) for _ in range(2)]
    for building in (mine, other):
        for installation_id in building.installation_ids:
            await store(engine, installation_id, [START])
    (slug,) = (await rows(engine, "SELECT slug FROM tenant WHERE id = :id", id=mine.tenant_id))[0]
    ended = await mbus("alerts", "rebuild", "--tenant", slug, variables={"MBUS_DATABASE_URL": database.owner_url})
    assert (ended.code, ended.out) == (0, "5 installations looked at, the status of 5 was another.\n")
    fresh = "SELECT DISTINCT tenant_id FROM installation_status WHERE state = 'fresh' AND last_reading_at = :at"
    assert await rows(engine, fresh, at=START) == [(mine.tenant_id,)]
    monkeypatch.setattr(operation, "AT_MOST", 2)
    assert await rebuilt(engine, START) == (10, 5)
    assert len(await rows(engine, fresh, at=START)) == 2


async def test_an_unknown_tenant_is_said_to_be_none(database: Database) -> None:
    ended = await mbus("alerts", "rebuild", "--tenant", "nobody", variables={"MBUS_DATABASE_URL": database.owner_url})
    assert ended.code == 1
    assert "there is no tenant 'nobody'" in ended.errors


async def test_what_is_heard_meanwhile_is_not_lost(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=30)
    for number in range(30):
        await store(engine, building.installation_ids[number], [START])
    events = [heard(building, START + HOUR, number=number) for number in range(30)]

    async def hear() -> None:
        for event in events:
            await fold(engine, [event], START)

    for installation_id in building.installation_ids:
        await store(engine, installation_id, [START + HOUR])
    await asyncio.gather(hear(), rebuilt(engine, START), rebuilt(engine, START))
    assert await rows(engine, "SELECT DISTINCT last_reading_at FROM installation_status") == [(START + HOUR,)]
