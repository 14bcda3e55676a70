"""Consumption that is lost and comes back: what services, their readiness and their callers see of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from aio_pika.exceptions import AMQPException
from faststream import AckPolicy
from faststream.rabbit import RabbitMessage
from structlog.testing import capture_logs

from shared import topology
from shared.broker import UNREACHABLE, BrokerNotReadyError, check, create_broker, publish, running, working_queue
from shared.broker_connection import Broker
from tests.support.messages import eventually, open_channel, publish_event, queue_length
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

KEY = "readings.stored.somebody"
BACK_WITHIN_S = 10


class Consumer:
    """Consumes `alerts.readings-stored`, as alerts does, and keeps the bodies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []
        self.broker = create_broker(url, app_id="test", prefetch=10, graceful_timeout_s=2)

        @self.broker.subscriber(working_queue(topology.ALERTS_QUEUE), ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)
        async def on_message(message: RabbitMessage) -> None:
            self.bodies.append(message.body)

    @asynccontextmanager
    async def running(self, *, declare_every_s: float = 60) -> AsyncIterator[Broker]:
        async with running(
            self.broker,
            self.url,
            queues=(topology.DEAD_LETTERS_QUEUE, topology.ALERTS_QUEUE),
            exchanges=(topology.ALERTS,),
            declare_every_s=declare_every_s,
        ):
            await eventually(self.is_ready)
            yield self.broker

    async def is_ready(self) -> bool:
        try:
            await check(self.broker)
        except UNREACHABLE:
            return False
        return True

    async def is_not_ready(self) -> bool:
        return not await self.is_ready()

    async def hears(self, body: bytes, vhost: Vhost) -> None:
        await publish_event(vhost.url, KEY, body)

        async def heard() -> bool:
            return body in self.bodies

        await eventually(heard, timeout_s=BACK_WITHIN_S)


async def publish_alert(broker: Broker) -> None:
    await publish(
        broker,
        b"{}",
        exchange=topology.ALERTS,
        routing_key=topology.alert_key(UUID(int=1), "installation.stale"),
        content_type="application/json",
        must_be_routed=False,
    )


async def delete_queue(vhost: Vhost, name: str) -> None:
    async with open_channel(vhost.url) as channel:
        await channel.queue_delete(name)


async def delete_exchange(vhost: Vhost, name: str) -> None:
    async with open_channel(vhost.url) as channel:
        await channel.exchange_delete(name)


async def test_a_broker_is_ready_when_its_subscribers_consume(vhost: Vhost) -> None:
    consumer = Consumer(vhost.alerts_url)
    with pytest.raises(BrokerNotReadyError):
        await check(consumer.broker)
    async with consumer.running() as broker:
        await check(broker)
        await consumer.hears(b"first", vhost)
    with pytest.raises(BrokerNotReadyError):
        await check(consumer.broker)


async def test_a_deleted_queue_makes_it_not_ready_and_is_declared_and_consumed_again(vhost: Vhost) -> None:
    consumer = Consumer(vhost.alerts_url)
    async with consumer.running():
        await delete_queue(vhost, topology.ALERTS_READINGS_STORED)
        await eventually(consumer.is_not_ready)
        await eventually(consumer.is_ready, timeout_s=BACK_WITHIN_S)
        await consumer.hears(b"after", vhost)


async def test_a_queue_that_was_deleted_and_declared_by_others_is_consumed_again(vhost: Vhost) -> None:
    consumer = Consumer(vhost.alerts_url)
    async with consumer.running():
        await delete_queue(vhost, topology.ALERTS_READINGS_STORED)
        # RabbitMQ 3.10 tells no consumer of a quorum queue that is declared again in the moment of its deletion.
        await eventually(consumer.is_not_ready)
        async with open_channel(vhost.url) as channel:
            await topology.declare(channel)
        await consumer.hears(b"after", vhost)


async def test_a_publish_that_closes_the_channel_does_not_end_consumption(vhost: Vhost) -> None:
    consumer = Consumer(vhost.alerts_url)
    async with consumer.running() as broker:
        await publish_alert(broker)
        await delete_exchange(vhost, topology.ALERTS)
        for _ in range(3):
            with pytest.raises(UNREACHABLE):
                await publish_alert(broker)
        await eventually(consumer.is_not_ready)
        await eventually(consumer.is_ready, timeout_s=BACK_WITHIN_S)
        await publish_alert(broker)
        await consumer.hears(b"after", vhost)


async def test_a_binding_that_was_deleted_is_declared_again(vhost: Vhost) -> None:
    consumer = Consumer(vhost.alerts_url)
    async with consumer.running(declare_every_s=0.5):
        await delete_exchange(vhost, topology.EVENTS)

        async def routed() -> bool:
            try:
                await publish_event(vhost.url, KEY, b"after")
            except AMQPException:
                return False
            return True

        await eventually(routed)
        await consumer.hears(b"at last", vhost)


async def test_whatever_happens_to_the_connection_a_publisher_hears_only_that_the_broker_is_unreachable(
    vhost: Vhost,
) -> None:
    outcomes: list[type[Exception] | None] = []

    async def hammer(broker: Broker) -> None:
        while True:
            try:
                await publish_alert(broker)
            except UNREACHABLE as error:
                outcomes.append(type(error))
                await asyncio.sleep(0.01)
            else:
                outcomes.append(None)

    async def fails_and_succeeds() -> None:
        seen = len(outcomes)
        await eventually(lambda: answered(any(outcomes[seen:])))
        seen = len(outcomes)
        await eventually(lambda: answered(None in outcomes[seen:]))

    async with TcpProxy(vhost.alerts_url).open() as proxy:
        consumer = Consumer(proxy.url)
        async with consumer.running() as broker:
            hammers = [asyncio.create_task(hammer(broker)) for _ in range(20)]
            for _ in range(3):
                await proxy.break_connections()
                await fails_and_succeeds()
            await delete_exchange(vhost, topology.ALERTS)
            await fails_and_succeeds()
            await broker.end(grace_s=0)
            await fails_and_succeeds()
            await consumer.hears(b"after", vhost)
        assert not [task for task in hammers if task.done()]
        for task in hammers:
            task.cancel()
        await asyncio.gather(*hammers, return_exceptions=True)


async def answered(answer: bool) -> bool:
    return answer


async def test_a_broker_that_is_away_at_the_start_is_waited_for(vhost: Vhost) -> None:
    consumer = Consumer(vhost.url_for("nobody", "wrong"))
    with capture_logs() as logs:
        async with running(consumer.broker, consumer.url, queues=(topology.ALERTS_QUEUE,)):
            await asyncio.sleep(0.5)
            assert await consumer.is_not_ready()
            with pytest.raises(UNREACHABLE):
                await publish_alert(consumer.broker)
    assert [entry["event"] for entry in logs] == ["broker_unreachable"]
    assert "wrong" not in str(logs)
    assert await queue_length(vhost.url, topology.ALERTS_READINGS_STORED) == 0
