"""Ingest lives by the database's time: what its own machine's clock says, and when that is set, changes nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.database_time import DatabaseTime
from tests.support.databases import Database
from tests.support.messages import eventually, publish_as_gateway
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Machine:
    """A machine whose clock can be set."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.passed_s = 0.0
        self.ahead = ahead
        self.time = DatabaseTime(lambda: at(self.passed_s) + self.ahead, lambda: 777.0 + self.passed_s)

    def ask(self, *, takes_s: float, said_after_s: float) -> None:
        """Ask a database whose clock is right, and which takes so long to answer."""
        asked_at, said = self.time.now(), at(self.passed_s + said_after_s)
        self.passed_s += takes_s
        self.time.learn(asked_at, said)


@pytest.mark.parametrize("ahead", [-1000 * HOUR, -3 * HOUR, -timedelta(seconds=11), timedelta(seconds=11), 3 * HOUR])
def test_a_clock_that_is_wrong_is_put_right(ahead: timedelta) -> None:
    machine = Machine(ahead)
    assert machine.time.now() == NOON + ahead
    machine.ask(takes_s=0, said_after_s=0)
    machine.passed_s += 100
    assert machine.time.now() == at(100)


@pytest.mark.parametrize("ahead", [-timedelta(seconds=9), timedelta(0), timedelta(seconds=9)])
def test_a_clock_that_is_nearly_right_is_left_alone(ahead: timedelta) -> None:
    """Else of two messages the later one might have the earlier time."""
    machine = Machine(ahead)
    machine.ask(takes_s=0, said_after_s=0)
    assert machine.time.now() == NOON + ahead


@pytest.mark.parametrize("said_after_s", [0, 50, 100])
def test_an_answer_that_took_long_says_nothing_against_a_clock_that_may_be_right(said_after_s: float) -> None:
    machine = Machine()
    machine.ask(takes_s=100, said_after_s=said_after_s)
    assert machine.time.now() == at(100)


def test_a_clock_that_is_set_moves_no_time() -> None:
    machine = Machine()
    machine.ahead = 5 * HOUR
    machine.passed_s = 60
    assert machine.time.now() == at(60)


@pytest.mark.parametrize(("ahead", "latest"), [(-3 * HOUR, NOON), (3 * HOUR, NOON + 3 * HOUR)])
def test_the_latest_time_is_that_of_the_clock_that_is_ahead(ahead: timedelta, latest: datetime) -> None:
    machine = Machine(ahead)
    machine.ask(takes_s=0, said_after_s=0)
    assert machine.time.latest() == latest


async def test_a_reading_is_in_the_future_only_if_it_is_ahead_of_both_clocks(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    """Here the database's is three hours behind; that fills no quarantine with what is good."""
    building = await create_building(engine)
    now = datetime.now(UTC)

    async def becomes(question: str, reading_at: datetime) -> None:
        reading = {
            "installation_id": str(building.installation_ids[0]),
            "timestamp": reading_at.isoformat(),
            "value": 1.5,
        }
        await publish_as_gateway(vhost.url, building.gateway_id, reading)

        async def is_so() -> bool:
            async with engine.connect() as connection:
                return bool(await connection.scalar(text(question)) == 1)

        await eventually(is_so)

    async with running_ingest(database, vhost, clock=lambda: datetime.now(UTC) + 3 * HOUR):
        await becomes("SELECT count(*) FROM reading", now + 3 * HOUR)
        await becomes("SELECT count(*) FROM quarantined_reading WHERE reason = 'in_the_future'", now + 5 * HOUR)
