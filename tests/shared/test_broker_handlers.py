"""Handlers that fail, and handlers that must end: what the queue, the log and a stop see of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from faststream import AckPolicy
from faststream.rabbit import RabbitMessage
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from shared import topology
from shared.broker import RETRY_S, create_broker, running, working_queue
from shared.broker_connection import ANSWER_S, Broker
from tests.support.databases import Database
from tests.support.messages import eventually, publish_as_gateway, publish_event, queue_length
from tests.support.registry import create_building
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

KEY = "readings.stored.somebody"
GRACE_S = 1.0

Handler = Callable[[RabbitMessage], Awaitable[None]]


@asynccontextmanager
async def handling(url: str, handler: Handler) -> AsyncIterator[Broker]:
    broker = create_broker(url, app_id="test", prefetch=10, graceful_timeout_s=GRACE_S)
    queue = topology.ALERTS_QUEUE
    broker.subscriber(working_queue(queue), ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)(handler)
    async with running(broker, url, queues=(topology.DEAD_LETTERS_QUEUE, queue)):
        yield broker


async def test_a_message_whose_handler_fails_is_told_once_without_its_body_and_comes_again_after_a_pause(
    vhost: Vhost,
) -> None:
    times: list[float] = []
    done = asyncio.Event()

    async def on_message(message: RabbitMessage) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise ValueError(message.body)
        done.set()

    with capture_logs() as logs:
        async with handling(vhost.alerts_url, on_message):
            await publish_event(vhost.url, KEY, b"very private")
            await asyncio.wait_for(done.wait(), 20)
    assert RETRY_S <= times[1] - times[0] < RETRY_S + 1
    (told,) = [entry for entry in logs if entry["event"] == "handler_failed"]
    assert (told["log_level"], told["error"], told["returned_in_s"]) == ("error", "ValueError", RETRY_S)
    assert told["at"][-1].endswith(" on_message")
    assert "very private" not in str(logs)
    assert await queue_length(vhost.url, topology.ALERTS_READINGS_STORED) == 0


async def test_a_handler_that_fails_holds_up_no_other_message(vhost: Vhost) -> None:
    handled: list[bytes] = []

    async def on_message(message: RabbitMessage) -> None:
        if message.body == b"bad":
            raise ValueError
        handled.append(message.body)

    async def all_handled() -> bool:
        return len(handled) == 20

    async with handling(vhost.alerts_url, on_message):
        await publish_event(vhost.url, KEY, b"bad")
        for number in range(20):
            await publish_event(vhost.url, KEY, str(number).encode())
        await eventually(all_handled, timeout_s=RETRY_S)


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_stop_waits_for_a_handler_for_the_grace_period_and_then_ends_it(vhost: Vhost, *, frozen: bool) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def on_message(_: RabbitMessage) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop = asyncio.get_running_loop()
    async with TcpProxy(vhost.alerts_url).open() as proxy:
        async with handling(proxy.url, on_message) as broker:
            await publish_event(vhost.url, KEY, b"{}")
            await asyncio.wait_for(begun.wait(), 20)
            if frozen:
                proxy.freeze()
            stopped_at = loop.time()
        assert ended.is_set()
        assert not broker.handlers.at_work
        assert GRACE_S <= loop.time() - stopped_at < GRACE_S + 3 * ANSWER_S + 1


async def test_ingest_stops_though_the_broker_is_frozen_and_the_database_takes_nothing(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    loop = asyncio.get_running_loop()
    async with TcpProxy(vhost.ingest_url).open() as proxy, engine.connect() as blocker:
        settings = {"database_url": database.ingest_url, "broker_url": proxy.url, "grace_period_s": GRACE_S}
        app = create_app(IngestSettings.model_validate(settings))
        await blocker.execute(text("LOCK TABLE gateway IN ACCESS EXCLUSIVE MODE"))
        async with app.router.lifespan_context(app):
            reading = {
                "installation_id": str(building.installation_ids[0]),
                "timestamp": datetime(2026, 3, 1, 12, tzinfo=UTC).isoformat(),
                "value": 12.5,
            }
            await publish_as_gateway(vhost.url, building.gateway_id, reading)
            await eventually(lambda: taken(vhost))
            proxy.freeze()
            stopped_at = loop.time()
            # What waits on the lock is the writer's; nobody waits for that any more when the broker has ended.
        assert loop.time() - stopped_at < GRACE_S + 4 * ANSWER_S + 2
        await blocker.rollback()


async def taken(vhost: Vhost) -> bool:
    return await queue_length(vhost.url, topology.INGEST_READINGS) == 0
