"""Deliveries: many at once, in order, shared by replicas, and never a transaction open while the broker is slow."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Interval

from services.alerts.deliveries import AT_MOST, CLAIM, CLAIMED, deliver_pending
from shared import topology
from shared.broker import UNREACHABLE, create_broker
from shared.broker_connection import Broker
from shared.database import open_engine
from tests.services.alerts.standing import long_registered, tick
from tests.support.databases import Database
from tests.support.messages import Subscriber, eventually, open_channel
from tests.support.registry import Building, create_building
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

ENQUEUE = text(
    """
    INSERT INTO delivery (id, alert_id, tenant_id, event_type, event, next_attempt_at)
    SELECT gen_random_uuid(), alert.id, alert.tenant_id, :type, CAST(:event AS jsonb), :at
    FROM alert ORDER BY alert.id
    """
)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def alerts_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """With the rights of the service."""
    async with open_engine(database.alerts_url, application_name="mbus-deliveries") as engine:
        yield engine


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine, meters=0)


@asynccontextmanager
async def broker_at(url: str) -> AsyncIterator[Broker]:
    broker = create_broker(url, app_id="test", prefetch=1, graceful_timeout_s=0)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.end(grace_s=0)


@pytest.fixture
async def broker(vhost: Vhost) -> AsyncIterator[Broker]:
    async with broker_at(vhost.alerts_url) as broker:
        yield broker


async def make_alerts(engine: AsyncEngine, building: Building, count: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO alert (id, tenant_id, type, gateway_id, since, opened_at, opened_because, closed_at,"
                " closed_because) SELECT gen_random_uuid(), :tenant, 'gateway.silent', :gateway, now(), now(),"
                " 'silence', now(), 'heard' FROM generate_series(1, :count)"
            ),
            {"tenant": building.tenant_id, "gateway": building.gateway_id, "count": count},
        )


async def enqueue(engine: AsyncEngine, kind: str, *, event: str = "{}", at: datetime | None = None) -> None:
    """A delivery for each alert."""
    async with engine.begin() as connection:
        await connection.execute(ENQUEUE, {"type": kind, "event": event, "at": at or now()})


async def enqueue_for_operators(engine: AsyncEngine, kind: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO delivery (id, event_type, event) VALUES (gen_random_uuid(), :type, '{}')"),
            {"type": kind},
        )


async def put_off(engine: AsyncEngine, by: timedelta) -> None:
    """Let what waits be tried after that time."""
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE delivery SET next_attempt_at = now() + :by WHERE delivered_at IS NULL"), {"by": by}
        )


async def deliveries(engine: AsyncEngine, where: str = "true") -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(text(f"SELECT * FROM delivery WHERE {where} ORDER BY position")))


async def received(subscriber: Subscriber, count: int) -> list[tuple[str, UUID]]:
    """The types and ids of the next `count` messages, which are all that came."""
    messages = [await subscriber.next() for _ in range(count)]
    assert subscriber.waiting == 0
    return [((it.routing_key or "").partition(".")[2], UUID(it.message_id)) for it in messages]


async def test_a_thousand_of_the_same_second_are_out_long_before_five_seconds_have_passed(
    engine: AsyncEngine, alerts_engine: AsyncEngine, broker: Broker, building: Building, vhost: Vhost
) -> None:
    await make_alerts(engine, building, 1000)
    await enqueue(engine, "gateway.silent")
    async with Subscriber.on_alerts(vhost.url, f"{building.tenant_id}.#") as subscriber:
        begun = time.monotonic()
        assert await deliver_pending(alerts_engine, broker) == 1000
        assert time.monotonic() - begun < 4
        expected = {("gateway.silent", one.id) for one in await deliveries(engine, "delivered_at IS NOT NULL")}
        assert len(expected) == 1000
        assert set(await received(subscriber, 1000)) == expected


async def test_an_event_is_published_as_it_was_made_whatever_its_numbers(
    engine: AsyncEngine, alerts_engine: AsyncEngine, broker: Broker, building: Building, vhost: Vhost
) -> None:
    await make_alerts(engine, building, 1)
    event = '{"data": {"vast": 1e300, "tiny": 3e-06, "text": "Kælder \\u2013 \\"x\\""}}'
    await enqueue(engine, "installation.stale", event=event)
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber:
        assert await deliver_pending(alerts_engine, broker) == 1
        message = await subscriber.next()
    assert json.loads(message.body, parse_int=float) == json.loads(event)
    assert (message.content_type, message.delivery_mode) == ("application/cloudevents+json", 2)


async def test_a_recovery_does_not_overtake_its_refused_silence_and_holds_up_no_other(
    engine: AsyncEngine, alerts_engine: AsyncEngine, broker: Broker, building: Building, vhost: Vhost
) -> None:
    moment = now()
    other = await create_building(engine, meters=0)
    await make_alerts(engine, building, 1)
    await make_alerts(engine, other, 1)
    await enqueue(engine, "gateway.silent", at=moment)
    async with (
        open_channel(vhost.url) as channel,
        Subscriber.on_alerts(vhost.url, f"{other.tenant_id}.#") as quick,
    ):
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
        )
        await full.bind(topology.ALERTS, f"{building.tenant_id}.#")
        assert await deliver_pending(alerts_engine, broker) == 1
        await enqueue(engine, "gateway.recovered", at=moment)
        assert await deliver_pending(alerts_engine, broker) == 1
        assert [it for it, _ in await received(quick, 2)] == ["gateway.silent", "gateway.recovered"]
        await full.delete(if_empty=False)

    async with Subscriber.on_alerts(vhost.url, f"{building.tenant_id}.#") as slow:
        (refused,) = await deliveries(engine, "attempts = 1")
        assert refused.next_attempt_at >= moment + timedelta(seconds=2)
        await put_off(engine, timedelta(hours=1))
        assert await deliver_pending(alerts_engine, broker) == 0
        await put_off(engine, timedelta(0))
        assert await deliver_pending(alerts_engine, broker) == 2
        assert [it for it, _ in await received(slow, 2)] == ["gateway.silent", "gateway.recovered"]


async def test_events_of_the_pipeline_go_to_operators_in_their_order(
    engine: AsyncEngine, alerts_engine: AsyncEngine, broker: Broker, vhost: Vhost
) -> None:
    kinds = ["pipeline.degraded", "pipeline.recovered", "pipeline.degraded"]
    for kind in kinds:
        await enqueue_for_operators(engine, kind)
    async with Subscriber.on_alerts(vhost.url, "operator.#") as subscriber:
        assert await deliver_pending(alerts_engine, broker) == 3
        assert [it for it, _ in await received(subscriber, 3)] == kinds


async def test_what_one_replica_claimed_the_others_leave_out_until_it_is_likely_dead(
    engine: AsyncEngine, alerts_engine: AsyncEngine, broker: Broker, building: Building, vhost: Vhost
) -> None:
    moment = now()
    await make_alerts(engine, building, 40)
    await enqueue(engine, "gateway.silent", at=moment)
    await enqueue(engine, "gateway.recovered", at=moment)
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber:
        counts = await asyncio.gather(*(deliver_pending(alerts_engine, broker) for _ in range(4)))
        assert sum(counts) == 80
        told = [it for it, _ in await received(subscriber, 80)]
        assert told.count("gateway.recovered") == 40

        # One that died after it had published, before it could write that down.
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE delivery SET delivered_at = NULL WHERE position = 1"),
            )
        await put_off(engine, CLAIM)
        assert await deliver_pending(alerts_engine, broker) == 0
        await put_off(engine, timedelta(0))
        assert await deliver_pending(alerts_engine, broker) == 1
        (first,) = await deliveries(engine, "position = 1")
        assert await received(subscriber, 1) == [("gateway.silent", first.id)]


async def test_an_event_of_whatever_time_is_tried_at_once(
    engine: AsyncEngine, alerts_engine: AsyncEngine, broker: Broker
) -> None:
    """Its time is that of a clock, and one that was ahead would make it wait."""
    ahead = now() + timedelta(hours=1)
    await create_building(engine, meters=1)
    await long_registered(engine, ahead)
    await tick(engine, ahead)
    made = await deliveries(engine)
    assert [one.created_at for one in made] == [ahead] * len(made)
    assert await deliver_pending(alerts_engine, broker) == len(made) > 0


async def test_while_the_broker_does_not_answer_no_transaction_is_open_and_then_nothing_is_lost(
    engine: AsyncEngine, alerts_engine: AsyncEngine, building: Building, vhost: Vhost
) -> None:
    await make_alerts(engine, building, 3)
    await enqueue_for_operators(engine, "pipeline.degraded")
    pending = "tenant_id IS NOT NULL AND delivered_at IS NULL"
    proxy = TcpProxy(vhost.alerts_url)
    async with proxy.open(), Subscriber.on_alerts(vhost.url, f"{building.tenant_id}.#") as subscriber:
        async with broker_at(proxy.url) as broker:
            assert await deliver_pending(alerts_engine, broker) == 1
            await enqueue(engine, "gateway.silent")
            proxy.freeze()
            delivering = asyncio.create_task(deliver_pending(alerts_engine, broker))

            async def claimed() -> bool:
                return len(await deliveries(engine, f"{pending} AND next_attempt_at > now()")) == 3

            await eventually(claimed)
            assert await open_transactions(engine) == 0
            # A stop gives back what was not confirmed.
            delivering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivering
            assert len(await deliveries(engine, f"{pending} AND next_attempt_at <= now()")) == 3

            # So does a connection that breaks, and the caller hears of it.
            delivering = asyncio.create_task(deliver_pending(alerts_engine, broker))
            await eventually(claimed)
            await proxy.break_connections()
            with pytest.raises(UNREACHABLE):
                await delivering
            assert len(await deliveries(engine, f"{pending} AND next_attempt_at <= now()")) == 3
            proxy.thaw()
        async with broker_at(vhost.alerts_url) as broker:
            assert await deliver_pending(alerts_engine, broker) == 3
        ids = {it.id for it in await deliveries(engine, "tenant_id IS NOT NULL AND delivered_at IS NOT NULL")}
        # What had been on its way comes too, under the same ids.
        told = {UUID((await subscriber.next()).message_id) for _ in range(3)}
        assert told <= ids
        assert len(ids) == 3


async def test_a_claim_reads_about_what_it_takes_however_much_waits(engine: AsyncEngine, building: Building) -> None:
    await make_alerts(engine, building, 20_000)
    await enqueue(engine, "gateway.silent")
    asked = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIMED.text}").bindparams(
        bindparam("claim", type_=Interval())
    )
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL jit = off"))
        found = await connection.execute(asked, {"claim": CLAIM, "at_most": AT_MOST})
        (plan,) = found.scalar_one()
    assert plan["Plan"]["Actual Rows"] == AT_MOST
    # Pages looked at; all that waits by all that waits would be millions.
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 100_000


async def open_transactions(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        count: int = await connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mbus-deliveries'"
                " AND datname = current_database() AND xact_start IS NOT NULL"
            )
        )
        return count
