"""Events through a real broker into real status rows, and alerts out of them into a subscriber's queue."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import fold, sweep
from shared import topology
from shared.messages.cloudevents import CloudEvent
from shared.messages.readings_stored import SOURCE, TYPE, InstallationHeard, ReadingsStored, encode
from tests.support.databases import Database
from tests.support.messages import Subscriber, eventually, next_message, publish_event
from tests.support.registry import Building, create_building
from tests.support.services import running_alerts
from tests.support.vhosts import Vhost

LIMIT = timedelta(hours=48)


def now() -> datetime:
    return datetime.now(UTC)


def heard(building: Building, at: datetime, *, number: int = 0, value: float = 1.5) -> ReadingsStored:
    return ReadingsStored(
        tenant_id=building.tenant_id,
        gateways=[building.gateway_id],
        installations=[
            InstallationHeard(
                installation_id=building.installation_ids[number],
                gateway_id=building.gateway_id,
                timestamp=at,
                value=value,
                rssi_dbm=-70,
                battery_level_pct=None,
                count=1,
            )
        ],
    )


async def tell(vhost: Vhost, data: ReadingsStored) -> None:
    event = CloudEvent(id="test", source=SOURCE, type=TYPE, time=now(), data=data)
    await publish_event(vhost.url, topology.readings_stored_key(data.tenant_id), encode(event))


async def status(engine: AsyncEngine, installation_id: UUID) -> tuple[Any, ...]:
    async with engine.connect() as connection:
        row = await connection.execute(
            text("SELECT state, last_reading_at, last_value FROM installation_status WHERE installation_id = :id"),
            {"id": installation_id},
        )
        return tuple(row.one())


@pytest.fixture
async def alerts(database: Database, vhost: Vhost) -> AsyncIterator[None]:
    async with running_alerts(database, vhost):
        yield


@pytest.fixture
async def subscriber(vhost: Vhost) -> AsyncIterator[Subscriber]:
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber:
        yield subscriber


@pytest.mark.usefixtures("alerts")
async def test_a_silent_installation_is_reported_within_seconds_of_its_moment_and_again_when_it_is_back(
    engine: AsyncEngine, vhost: Vhost, subscriber: Subscriber
) -> None:
    building = await create_building(engine, meters=1, installed_at=now() - timedelta(hours=1))
    (installation,) = building.installation_ids
    due = now() + timedelta(seconds=2)
    await tell(vhost, heard(building, due - LIMIT))
    stale = await subscriber.next()
    assert 0 <= (now() - due).total_seconds() < 5
    assert stale.routing_key == f"{building.tenant_id}.installation.stale"
    body = json.loads(stale.body)
    assert body["type"] == "installation.stale"
    assert body["id"] == stale.message_id
    assert body["data"]["installation_id"] == str(installation)
    assert body["data"]["meter_serial"] == "70000000"
    assert body["data"]["address"] == "Testvej 1, 8000 Aarhus"
    assert datetime.fromisoformat(body["data"]["since"]) == due - LIMIT
    assert body["data"]["last_reading"]["value"] == 1.5

    await tell(vhost, heard(building, now(), value=2.5))
    recovered = await subscriber.next()
    assert recovered.routing_key == f"{building.tenant_id}.installation.recovered"
    assert json.loads(recovered.body)["data"]["alert_id"] == body["data"]["alert_id"]
    assert (await status(engine, installation))[0] == "fresh"


@pytest.mark.usefixtures("alerts")
async def test_one_that_was_installed_long_ago_and_never_heard_is_reported_without_a_last_reading(
    engine: AsyncEngine, subscriber: Subscriber
) -> None:
    building = await create_building(engine, meters=1)
    body = json.loads((await subscriber.next()).body)
    assert body["type"] == "installation.stale"
    assert body["data"]["installation_id"] == str(building.installation_ids[0])
    assert body["data"]["last_reading"] is None


@pytest.mark.usefixtures("alerts")
async def test_what_is_no_event_becomes_a_dead_letter_and_the_worker_lives(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine, meters=1)
    await publish_event(vhost.url, topology.readings_stored_key("x"), b'{"data": 3}')
    letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert "no readings.stored event" in str(letter.headers["x-mbus-reason"])
    moment = now()
    await tell(vhost, heard(building, moment))

    async def folded() -> bool:
        return bool((await status(engine, building.installation_ids[0]))[1] == moment)

    await eventually(folded)


async def test_late_and_repeated_events_never_move_a_status_back(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    newest = now() - timedelta(hours=1)
    for at, value in ((newest, 3.0), (newest - timedelta(hours=5), 1.0), (newest, 9.0)):
        await fold(engine, [heard(building, at, value=value)], now())
    assert await status(engine, building.installation_ids[0]) == ("fresh", newest, 3.0)


async def test_a_back_filled_old_reading_is_no_recovery_and_a_transition_makes_one_alert(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    assert await sweep(engine, now()) == 1
    assert await sweep(engine, now()) == 0
    assert await fold(engine, [heard(building, now() - timedelta(days=3))], now()) == 0
    assert await sweep(engine, now()) == 0
    assert (await status(engine, building.installation_ids[0]))[0] == "stale"
    assert await fold(engine, [heard(building, now())], now()) == 1
    async with engine.connect() as connection:
        types = await connection.execute(text("SELECT event_type FROM delivery ORDER BY created_at"))
        assert types.scalars().all() == ["installation.stale", "installation.recovered"]
        alerts = await connection.execute(text("SELECT count(*), count(closed_at) FROM alert"))
        assert tuple(alerts.one()) == (1, 1)


async def test_a_sweep_finds_the_due_ones_by_index_whatever_else_there_is(engine: AsyncEngine) -> None:
    await create_building(engine, meters=50)
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE installation_status"))
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(
            text("EXPLAIN SELECT 1 FROM installation_status WHERE due_at <= now() ORDER BY due_at LIMIT 500")
        )
        assert "ix_installation_status_due_at" in "\n".join(plan.scalars())


async def test_many_replicas_sweeping_at_once_report_each_silence_once(engine: AsyncEngine) -> None:
    await create_building(engine, meters=40)
    moment = now()
    counts = await asyncio.gather(*(sweep(engine, moment) for _ in range(4)))
    assert sum(counts) == 40
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM alert")) == 40
        assert await connection.scalar(text("SELECT count(DISTINCT alert_id) FROM delivery")) == 40


async def test_a_delivery_that_was_not_confirmed_goes_out_when_the_service_starts_but_judging_waits_to_settle(
    engine: AsyncEngine, database: Database, subscriber: Subscriber, vhost: Vhost
) -> None:
    await create_building(engine, meters=1)
    await sweep(engine, now())
    await create_building(engine, meters=1)
    async with running_alerts(database, vhost, settle_s=3600):
        message = await subscriber.next()
        assert json.loads(message.body)["type"] == "installation.stale"

        async def all_delivered() -> bool:
            async with engine.connect() as connection:
                return await connection.scalar(text("SELECT bool_and(delivered_at IS NOT NULL) FROM delivery")) is True

        await eventually(all_delivered)
    assert subscriber.waiting == 0
