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

from shared import topology
from shared.messages.cloudevents import CloudEvent
from shared.messages.readings_stored import SOURCE, TYPE, ReadingsStored, encode
from tests.services.alerts.standing import hear_gateway, heard, long_registered, states, tick, told
from tests.support.databases import Database
from tests.support.messages import Subscriber, eventually, next_message, open_channel, publish_event
from tests.support.registry import Building, create_building
from tests.support.services import running_alerts
from tests.support.vhosts import Vhost

LIMIT = timedelta(hours=48)


def now() -> datetime:
    return datetime.now(UTC)


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
    told = json.loads(recovered.body)["data"]
    assert told["alert_id"] == body["data"]["alert_id"]
    assert told["since"] == told["last_reading"]["timestamp"]
    assert told["silent_since"] == body["data"]["since"] == body["data"]["silent_since"]
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


def unwritable(building: Building) -> bytes:
    """An event of the right shape whose time PostgreSQL cannot hold."""
    event = CloudEvent(
        id="odd", source=SOURCE, type=TYPE, time=now(), data=heard(building, datetime(2, 1, 1, tzinfo=UTC))
    )
    return encode(event).replace(b"0002-01-01T00:00:00Z", b"0001-01-01T00:00:00+12:00")


@pytest.mark.parametrize(
    ("days", "read", "state", "events"),
    [
        pytest.param(3, 0, "fresh", ["installation.stale", "installation.recovered"], id="ahead"),
        pytest.param(-3, 60, "stale", ["installation.stale"], id="behind, and a reading of old is filled in"),
    ],
)
async def test_the_clock_of_a_replica_that_is_days_wrong_makes_no_difference_to_what_a_reading_means(
    engine: AsyncEngine, database: Database, vhost: Vhost, *, days: int, read: int, state: str, events: list[str]
) -> None:
    building = await create_building(engine, meters=1)
    await long_registered(engine, now())
    await hear_gateway(engine, building.gateway_id, now())
    await tick(engine, now())
    read_at = now() - timedelta(hours=read)
    async with running_alerts(database, vhost, clock=lambda: now() + timedelta(days=days)):
        await tell(vhost, heard(building, read_at))

        async def folded() -> bool:
            return bool((await status(engine, building.installation_ids[0]))[1] == read_at)

        await eventually(folded)
    assert await states(engine) == [state]
    assert [kind for kind in await told(engine) if kind.startswith("installation.")] == events


@pytest.mark.usefixtures("alerts")
@pytest.mark.parametrize("kind", ["no event", "nested without end", "unwritable"])
async def test_what_cannot_be_folded_becomes_a_dead_letter_and_the_worker_lives(
    engine: AsyncEngine, vhost: Vhost, kind: str
) -> None:
    building = await create_building(engine, meters=1)
    bodies = {
        "no event": (b'{"data": 3}', "no readings.stored event"),
        "nested without end": (b'{"data": ' + b"[" * 20_000, "no readings.stored event"),
        "unwritable": (unwritable(building), "cannot be folded"),
    }
    body, reason = bodies[kind]
    await publish_event(vhost.url, topology.readings_stored_key("x"), body)
    letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert letter.body == body
    assert reason in str(letter.headers["x-mbus-reason"])
    moment = now()
    await tell(vhost, heard(building, moment))

    async def folded() -> bool:
        return bool((await status(engine, building.installation_ids[0]))[1] == moment)

    await eventually(folded)


@pytest.mark.usefixtures("alerts")
async def test_a_subscriber_whose_queue_is_full_holds_up_nobody_elses_events(
    engine: AsyncEngine, vhost: Vhost, subscriber: Subscriber
) -> None:
    slow = await create_building(engine, meters=3, installed_at=now() - timedelta(hours=1))
    async with open_channel(vhost.url) as channel:
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await full.bind(topology.ALERTS, f"{slow.tenant_id}.#")
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE meter_installation SET installed_at = now() - interval '9 days'"))
        await eventually(lambda: _refused(engine, 2))
        quick = await create_building(engine, meters=1)
        async with asyncio.timeout(20):
            while (await subscriber.next()).routing_key != f"{quick.tenant_id}.installation.stale":
                pass
        # When the subscriber takes what it has, the others follow, each under its own id.
        ids = set()
        async with asyncio.timeout(30), full.iterator() as messages:
            async for message in messages:
                await message.ack()
                ids.add(message.message_id)
                if len(ids) == 3:
                    break


async def _refused(engine: AsyncEngine, count: int) -> bool:
    async with engine.connect() as connection:
        refused: int = await connection.scalar(text("SELECT count(*) FROM delivery WHERE attempts > 0"))
        return refused == count


async def test_a_delivery_that_was_not_confirmed_goes_out_when_the_service_starts_but_judging_waits_to_settle(
    engine: AsyncEngine, database: Database, subscriber: Subscriber, vhost: Vhost
) -> None:
    await create_building(engine, meters=1)
    await tick(engine, now())
    await create_building(engine, meters=1)
    async with running_alerts(database, vhost, settle_s=3600):
        message = await subscriber.next()
        assert json.loads(message.body)["type"] == "installation.stale"

        async def all_delivered() -> bool:
            async with engine.connect() as connection:
                return await connection.scalar(text("SELECT bool_and(delivered_at IS NOT NULL) FROM delivery")) is True

        await eventually(all_delivered)
    assert subscriber.waiting == 0
