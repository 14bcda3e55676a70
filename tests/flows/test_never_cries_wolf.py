"""No meter is called stale while a reading of it may be under way, whatever happens to ingest, broker, alerts or clock.

In each test one meter is dead, and the others were heard: only the dead one may be reported, and only when all that the
broker has is stored.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import aio_pika
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts import inquiry, rounds
from services.alerts.rules import leading
from shared import topology
from tests.faults.processes import Ingest
from tests.support.databases import Database
from tests.support.messages import Subscriber, eventually, open_channel, queue_length
from tests.support.registry import Building, add_meter, create_building
from tests.support.services import running_alerts, running_ingest
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

LIMIT = timedelta(hours=48)
DEAD = "70000000"
PATIENCE_S = 60


def now() -> datetime:
    return datetime.now(UTC)


def reading(serial: str, at: datetime, value: float = 1.5) -> dict[str, object]:
    return {"meter_serial": serial, "timestamp": at.isoformat(), "value": value}


async def send(vhost: Vhost, building: Building, *batches: list[dict[str, object]]) -> None:
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        for batch in batches:
            body = json.dumps({"readings": batch}).encode()
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(message, topology.gateway_readings_key(building.gateway_id), timeout=10)


async def pipeline(engine: AsyncEngine) -> Row[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT *, clock_timestamp() AS now FROM pipeline"))).one()


async def stored(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM reading"))).scalar_one())


async def is_looked_at_for(engine: AsyncEngine, seconds: float) -> None:
    """Wait until alerts has looked at the pipeline for so long."""

    async def looked() -> bool:
        return (await pipeline(engine)).looked_at is not None

    await eventually(looked)
    since = (await pipeline(engine)).now

    async def long_enough() -> bool:
        return bool((await pipeline(engine)).looked_at - since >= timedelta(seconds=seconds))

    await eventually(long_enough, timeout_s=PATIENCE_S)


@asynccontextmanager
async def nothing_can_be_stored(engine: AsyncEngine) -> AsyncIterator[None]:
    """Readings can be read, and not written."""
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE reading IN SHARE MODE"))
        yield


@dataclass(frozen=True)
class Place:
    """Where a test is: its servers, and the building whose meters are watched."""

    engine: AsyncEngine
    database: Database
    vhost: Vhost
    building: Building


@asynccontextmanager
async def a_process_of_ingest(place: Place, log: Path, **settings: object) -> AsyncIterator[Ingest]:
    log = log / "ingest.log"
    async with Ingest.open(place.database, place.vhost, log=log, stamped=False, settings=settings) as ingest:
        yield ingest


class Told:
    """All that alerts has told, since it is listened to."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self.events: list[dict[str, Any]] = []

    async def until(self, kind: str, serial: str | None = None) -> dict[str, Any]:
        """Wait for an event; what comes before it is noted."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event: dict[str, Any] = json.loads((await self._subscriber.next(timeout_s=PATIENCE_S)).body)
                self.events.append(event)
                if event["type"] == kind and event["data"].get("meter_serial") in {serial, None}:
                    return event

    async def kinds(self) -> list[str]:
        """The types of all events until now, in their order."""
        while self._subscriber.waiting:
            self.events.append(json.loads((await self._subscriber.next()).body))
        return [event["type"] for event in self.events]


@pytest.fixture
async def told(vhost: Vhost) -> AsyncIterator[Told]:
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber:
        yield Told(subscriber)


@pytest.fixture
async def place(engine: AsyncEngine, database: Database, vhost: Vhost) -> Place:
    """Meters that were installed three days ago and never heard, by a gateway of which nobody expects anything soon."""
    building = await create_building(engine, meters=5, installed_at=now() - timedelta(days=3))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE gateway SET silent_after = '10 days'"))
    return Place(engine, database, vhost, building)


def fresh(building: Building) -> list[dict[str, object]]:
    """A reading of a minute ago of each meter but the dead one."""
    at = now() - timedelta(minutes=1)
    return [reading(serial, at) for serial in building.meters if serial != DEAD]


async def only_the_dead_one_is_told(told: Told) -> None:
    await told.until("installation.stale", DEAD)
    assert [kind for kind in await told.kinds() if kind.startswith("installation.")] == ["installation.stale"]


@pytest.fixture
def soon_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not stored after three seconds counts as behind."""
    monkeypatch.setattr(rounds, "BEHIND_AFTER", timedelta(seconds=3))


@pytest.fixture
def soon_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is asked for a session that has said nothing for a second."""
    monkeypatch.setattr(inquiry, "SILENT_AFTER_S", 1.0)
    monkeypatch.setattr(inquiry, "RETURNED_AFTER_S", 0.5)


@pytest.mark.usefixtures("soon_behind")
async def test_ingest_stopped_for_three_days_with_a_full_queue_and_started_again(
    place: Place, told: Told, tmp_path: Path
) -> None:
    async with (
        running_alerts(place.database, place.vhost, ingest=False),
        running_alerts(place.database, place.vhost, ingest=False),
    ):
        degraded = await told.until("pipeline.degraded")
        assert degraded["data"]["cause"] == "behind"
        assert "no ingest consumes" in degraded["data"]["reason"]
        hours = [now() - timedelta(hours=hour) for hour in range(71, -1, -1)]
        heard = [serial for serial in place.building.meters if serial != DEAD]
        await send(place.vhost, place.building, *([reading(serial, hour) for serial in heard] for hour in hours))
        async with a_process_of_ingest(place, tmp_path) as ingest:
            await ingest.start()
            recovered = await told.until("pipeline.recovered")
            assert recovered["data"]["since"] == degraded["data"]["since"]
            assert await stored(place.engine) == len(heard) * len(hours)
            await only_the_dead_one_is_told(told)
            kinds = await told.kinds()
            assert [kind for kind in kinds if kind.startswith("pipeline.")] == [
                "pipeline.degraded",
                "pipeline.recovered",
            ]


@pytest.mark.usefixtures("soon_asked_for")
async def test_ingest_killed_with_messages_in_hand_while_another_one_works(
    place: Place, told: Told, tmp_path: Path
) -> None:
    # One with a consumer that it never changes and that it has told of: else it would be that, which nobody knows, that
    # judgement is held for.
    async with a_process_of_ingest(place, tmp_path, prefetch=1) as ingest:
        await ingest.start()
        async with nothing_can_be_stored(place.engine):
            await in_the_hands_of_ingest(place.engine, place.vhost, place.building)
            await eventually(lambda: has_told_of_its_consumer(place.engine))
            # The broker does not learn of its death yet, and keeps back what it had in hand.
            ingest.broker.freeze()
            ingest.kill()
            await ingest.ended()
        async with (
            running_alerts(place.database, place.vhost, ingest=False),
            running_ingest(place.database, place.vhost),
        ):
            # The other one answers again and again, with nothing in hand; that proves nothing.
            await eventually(lambda: the_newest_has_answered(place.engine, of_sessions=2))
            await is_looked_at_for(place.engine, 5)
            assert await the_newest_has_answered(place.engine, of_sessions=2)
            assert (await pipeline(place.engine)).judged_until is None
            assert await told.kinds() == []
            ingest.broker.thaw()
            await only_the_dead_one_is_told(told)
            assert await stored(place.engine) == len(fresh(place.building))
            assert await the_newest_has_answered(place.engine, of_sessions=1)


async def has_told_of_its_consumer(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT consumer FROM ingest_session"))).scalar_one() is not None


async def the_newest_has_answered(engine: AsyncEngine, *, of_sessions: int) -> bool:
    async with engine.connect() as connection:
        found = await connection.scalars(text("SELECT round FROM ingest_session ORDER BY started_at DESC"))
        answered = list(found)
    return len(answered) == of_sessions and answered[0] > 0


@pytest.mark.usefixtures("soon_asked_for")
async def test_ingest_frozen_with_messages_in_hand(place: Place, told: Told, tmp_path: Path) -> None:
    async with a_process_of_ingest(place, tmp_path) as ingest:
        await ingest.start()
        async with nothing_can_be_stored(place.engine):
            await in_the_hands_of_ingest(place.engine, place.vhost, place.building)
            assert ingest.pid is not None
            os.kill(ingest.pid, SIGSTOP)
        async with (
            running_alerts(place.database, place.vhost, ingest=False),
            running_ingest(place.database, place.vhost),
        ):
            # It is not taken for dead, though it says nothing and another one works: its connection is there.
            await is_looked_at_for(place.engine, 7)
            assert (await pipeline(place.engine)).judged_until is None
            assert await told.kinds() == []
            os.kill(ingest.pid, SIGCONT)
            await only_the_dead_one_is_told(told)


async def in_the_hands_of_ingest(engine: AsyncEngine, vhost: Vhost, building: Building) -> None:
    """Send what is fresh, and wait until ingest has taken it; of that nothing is stored yet."""
    await send(vhost, building, fresh(building))

    async def taken() -> bool:
        return await queue_length(vhost.url, topology.INGEST_READINGS) == 0 and await _waits_for_a_lock(engine)

    await eventually(taken, timeout_s=PATIENCE_S)
    assert await stored(engine) == 0


async def _waits_for_a_lock(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        waiting = await connection.execute(
            text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'reading'::regclass")
        )
        return int(waiting.scalar_one()) > 0


async def test_a_broker_that_was_away_holds_judgement_until_all_has_settled(place: Place, told: Told) -> None:
    async with TcpProxy(place.vhost.alerts_url).open() as way, running_ingest(place.database, place.vhost):
        await send(place.vhost, place.building, fresh(place.building))
        await eventually(lambda: all_are_stored(place.engine, place.building))
        async with running_alerts(place.database, place.vhost, ingest=False, settle_s=5, broker_url=way.url) as app:
            await only_the_dead_one_is_told(told)
            await way.cut()

            async def held() -> bool:
                return (await pipeline(place.engine)).reason is not None

            await eventually(held)
            before = await pipeline(place.engine)
            assert before.reason == "the broker could not be reached"

            async def said() -> bool:
                words: str = (await readiness(app))["details"]["judgement"]
                return words == "held: broker: the broker could not be reached"

            await eventually(said)
            await add_meter(place.engine, place.building, "70000099", installed_at=now() - timedelta(days=3))
            restored = now()
            await way.restore()
            degraded = await told.until("pipeline.degraded")
            recovered = await told.until("pipeline.recovered")
            assert recovered["data"] == degraded["data"]
            stale = await told.until("installation.stale", "70000099")
            assert moment(stale) - restored >= timedelta(seconds=5)
            assert "judged until" in (await readiness(app))["details"]["judgement"]


def moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


async def all_are_stored(engine: AsyncEngine, building: Building) -> bool:
    return await stored(engine) == len(fresh(building))


async def readiness(app: FastAPI) -> dict[str, Any]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
        answer: dict[str, Any] = (await client.get("/readyz")).json()
        return answer


async def test_alerts_that_was_away_says_so_and_judges_nothing_until_all_has_settled(place: Place, told: Told) -> None:
    async with place.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE pipeline SET looked_at = now() - interval '3 days', judged_until = now() - interval '3 days',"
                " healthy_since = now() - interval '9 days'"
            )
        )
    async with running_alerts(place.database, place.vhost, settle_s=5):
        degraded = await told.until("pipeline.degraded")
        assert degraded["data"]["reason"].startswith("alerts was away since")
        assert (await pipeline(place.engine)).judged_until < now() - timedelta(days=2)
        recovered = await told.until("pipeline.recovered")
        assert moment(recovered) - moment(degraded) >= timedelta(seconds=5)
    assert "installation.stale" not in [event["type"] for event in told.events]
    assert place.building.meters


async def test_a_clock_that_is_moved_judges_nothing(place: Place, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    # There is nobody else who could lead.
    monkeypatch.setattr(leading, "TAKE_OVER_ANYWAY_AFTER", timedelta(seconds=2))
    ahead = timedelta(0)
    async with running_ingest(place.database, place.vhost):
        await send(
            place.vhost,
            place.building,
            [reading(serial, now() - LIMIT + timedelta(minutes=30)) for serial in place.building.meters],
        )
        async with running_alerts(place.database, place.vhost, ingest=False, clock=lambda: now() + ahead):

            async def judging() -> bool:
                seen = await pipeline(place.engine)
                return seen.judged_until is not None and await stored(place.engine) == len(place.building.meters)

            await eventually(judging)
            ahead = timedelta(hours=1)
            degraded = await told.until("pipeline.degraded")
            assert degraded["data"]["cause"] == "clock"
            await is_looked_at_for(place.engine, 5)
            held = await pipeline(place.engine)
            assert "differ by 3600 s" in held.reason
            assert held.judged_until < now()
            ahead = timedelta(0)
            await told.until("pipeline.recovered")
    assert await told.kinds() == ["pipeline.degraded", "pipeline.recovered"]


@pytest.mark.parametrize("ahead", [timedelta(hours=-40), timedelta(hours=3)])
async def test_a_clock_of_ingest_that_is_wrong_makes_nobody_silent(place: Place, told: Told, ahead: timedelta) -> None:
    async with place.engine.begin() as connection:
        await connection.execute(text("UPDATE gateway SET silent_after = NULL"))
    async with (
        running_ingest(place.database, place.vhost, clock=lambda: now() + ahead),
        running_alerts(place.database, place.vhost, ingest=False, settle_s=5),
    ):
        await send(place.vhost, place.building, fresh(place.building))
        await only_the_dead_one_is_told(told)
        assert await told.kinds() == ["installation.stale"]
        assert await stored(place.engine) == len(fresh(place.building))
        async with place.engine.connect() as connection:
            heard_at = (await connection.execute(text("SELECT heard_at FROM gateway_heard"))).scalar_one()
        assert abs(now() - heard_at) < timedelta(minutes=5)


async def test_a_clock_that_is_a_little_ahead_makes_nobody_judge_what_is_to_come(place: Place, told: Told) -> None:
    async with running_alerts(place.database, place.vhost, clock=lambda: now() + timedelta(seconds=9)):

        async def judging() -> bool:
            return (await pipeline(place.engine)).judged_until is not None

        await eventually(judging)
        seen = await pipeline(place.engine)
    assert seen.judged_until <= seen.now
    assert told.events == []


@pytest.mark.parametrize("replicas", [1, 4])
async def test_under_a_load_without_a_pause_a_dead_meter_behind_a_live_gateway_is_found_in_time(
    place: Place, told: Told, replicas: int
) -> None:
    async with place.engine.begin() as connection:
        await connection.execute(text("UPDATE meter_installation SET installed_at = now() - interval '47 hours'"))
    async with (
        running_ingest(place.database, place.vhost),
        load(place.vhost, place.building),
        AsyncExitStack() as stack,
    ):
        await eventually(lambda: all_are_stored(place.engine, place.building))
        for _ in range(replicas):
            await stack.enter_async_context(running_alerts(place.database, place.vhost, ingest=False))

        async def judging() -> bool:
            return (await pipeline(place.engine)).judged_until is not None

        await eventually(judging)
        due = now() + timedelta(seconds=3)
        await send(place.vhost, place.building, [reading(DEAD, due - LIMIT)])
        stale = await told.until("installation.stale", DEAD)
        assert 0 <= (now() - due).total_seconds() < 5
        assert datetime.fromisoformat(stale["data"]["since"]) == due - LIMIT
    assert await told.kinds() == ["installation.stale"]


@asynccontextmanager
async def load(vhost: Vhost, building: Building) -> AsyncIterator[None]:
    """The same readings again and again, of all meters but the dead one, as fast as they can be sent one by one."""
    batch = fresh(building)

    async def send_without_end() -> None:
        while True:
            await send(vhost, building, *([batch] * 100))

    sending = asyncio.create_task(send_without_end())
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def test_when_a_replica_ends_another_one_leads_without_settling_anew(place: Place, told: Told) -> None:
    async with AsyncExitStack() as first:
        await first.enter_async_context(running_alerts(place.database, place.vhost, settle_s=3))

        async def judging() -> bool:
            return (await pipeline(place.engine)).judged_until is not None

        await eventually(judging)
        async with running_alerts(place.database, place.vhost, settle_s=3600):
            await first.aclose()
            ended = now()
            async with place.engine.begin() as connection:
                await connection.execute(text("UPDATE pipeline SET healthy_since = now() - interval '2 hours'"))

            async def judging_again() -> bool:
                return bool((await pipeline(place.engine)).judged_until > ended)

            await eventually(judging_again)
            assert (await pipeline(place.engine)).reason is None
    assert not [kind for kind in await told.kinds() if kind.startswith("pipeline.")]
    assert place.building.meters
