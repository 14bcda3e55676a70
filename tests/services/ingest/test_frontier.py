"""What is surely new is appended; where that was wrong, the result is the same as if it had been merged."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.delivery import GatewayDelivery
from services.ingest.frontier import LONGEST_DOUBT, Frontier
from services.ingest.operations import Memory, store
from services.ingest.registry import Installation
from services.ingest.verdicts import Accepted
from shared.models import Medium, UnitOfMeasure
from tests.support.registry import Building, create_building

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
METERS = [Installation(UUID(int=n), uuid4(), NOON, None, Medium.HEAT, UnitOfMeasure.KWH, None) for n in range(3)]
DELIVERY = GatewayDelivery("GW-1", b"", NOON, may_correct=True)


def accepted(meter: int, at: int) -> Accepted:
    return Accepted(METERS[meter].first_key + at, METERS[meter], at, 1.0, None, None, DELIVERY)


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(-50, 50)), max_size=6), max_size=10))
def test_what_was_committed_is_never_said_to_be_new(batches: list[list[tuple[int, int]]]) -> None:
    frontier, committed = Frontier(), set[int]()
    for batch in batches:
        readings = [accepted(*one) for one in batch]
        new, others = frontier.split(readings)
        assert sorted(one.key for one in (*new, *others)) == sorted(one.key for one in readings)
        assert not committed & {one.key for one in new}
        frontier.advance(readings)
        committed |= {one.key for one in readings}


def test_a_meter_that_was_not_heard_before_may_have_readings_already() -> None:
    frontier = Frontier()
    assert frontier.split([accepted(0, 5)]) == ([], [accepted(0, 5)])
    frontier.advance([accepted(0, 5)])
    assert frontier.split([accepted(0, 6), accepted(0, 5), accepted(1, 9)]) == (
        [accepted(0, 6)],
        [accepted(0, 5), accepted(1, 9)],
    )


def test_a_wrong_guess_is_doubted_longer_each_time_and_a_right_one_ends_it() -> None:
    frontier = Frontier()
    frontier.advance([accepted(0, 0)])

    def batches_in_doubt() -> int:
        count = 0
        while not frontier.split([accepted(0, 1)])[0]:
            count += 1
        return count

    doubts = []
    for _ in range(8):
        frontier.was_wrong()
        doubts.append(batches_in_doubt())
    assert doubts == [2, 4, 8, 16, 32, 64, 64, LONGEST_DOUBT]
    frontier.was_right()
    frontier.was_wrong()
    assert batches_in_doubt() == 2


def sent(building: Building, *readings: tuple[int, float], received: int = 0) -> GatewayDelivery:
    """Readings of the first meter: so many hours after noon, and the value."""
    listed = ",".join(
        f'{{"meter_serial": "70000000", "timestamp": "{(NOON + timedelta(hours=hour)).isoformat()}", "value": {value}}}'
        for hour, value in readings
    )
    received_at = NOON + timedelta(days=1, seconds=received)
    return GatewayDelivery(building.gateway_id, f"[{listed}]".encode(), received_at, may_correct=True)


async def test_a_guess_that_another_process_makes_wrong_changes_nothing(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    one, other = Memory(), Memory()

    async def write(memory: Memory, *deliveries: GatewayDelivery) -> tuple[int, int, int]:
        batch = await store(engine, deliveries, memory, lambda: NOON + timedelta(days=2))
        return batch.merged.stored, batch.merged.corrected, batch.unchanged

    assert await write(one, sent(building, (0, 1.0))) == (1, 0, 0)
    assert await write(one, sent(building, (1, 1.0), (2, 1.0))) == (2, 0, 0)
    # The other one knows of the first hour only, and so takes all that follows for new.
    assert await write(other, sent(building, (0, 1.0))) == (0, 0, 1)
    assert await write(other, sent(building, (2, 1.0), (1, 9.0), (3, 1.0), received=1)) == (1, 1, 1)
    # In one batch: surely new, there already, and the same key twice with another value.
    mixed = sent(building, (4, 1.0), (0, 1.0), received=2), sent(building, (4, 2.0), received=3)
    assert await write(one, *mixed) == (1, 1, 1)
    async with engine.connect() as connection:
        stored = await connection.scalars(text("SELECT value FROM reading ORDER BY timestamp"))
        corrections = await connection.execute(text("SELECT old_value, new_value FROM reading_correction ORDER BY id"))
        assert stored.all() == [1.0, 9.0, 1.0, 1.0, 2.0]
        assert [tuple(row) for row in corrections] == [(1.0, 9.0), (1.0, 2.0)]
