"""What alerts asks the broker about ingest: answered, or given up before another replica takes over."""

import asyncio
import time
from typing import Never

import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.channel import Channel
from aiormq.exceptions import ChannelAccessRefused

from services.alerts import ingest_queue
from services.alerts.ingest_queue import BrokerUnseenError, IngestQueue
from shared import topology
from tests.support.messages import eventually, open_channel, publish_as_gateway
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost


async def test_a_broker_that_hangs_is_given_up_in_time_and_looked_at_again_when_it_is_back(
    vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_queue, "ANSWER_S", 2.0)
    async with TcpProxy(vhost.alerts_url).open() as way:
        queue = IngestQueue(way.url)
        assert (await queue.look()).waiting == 0
        way.freeze()
        for _ in ("the connection that is there", "a new one"):
            began_at = time.monotonic()
            with pytest.raises(BrokerUnseenError, match=ingest_queue.AWAY):
                await queue.look()
            assert time.monotonic() - began_at < 3.5
        way.thaw()
        assert (await queue.look()).waiting == 0
        await queue.close()


async def test_the_broker_counts_a_consumer_that_was_cancelled_until_it_has_nothing_in_hand(vhost: Vhost) -> None:
    """Sessions of ingest tell by that whether they are counted."""
    seen = IngestQueue(vhost.alerts_url)
    taken = asyncio.Queue[AbstractIncomingMessage]()

    async def counted(consumers: int) -> None:
        async def so_many() -> bool:
            return (await seen.look()).consumers == consumers

        await eventually(so_many)

    async with open_channel(vhost.url) as channel:
        queue = await channel.get_queue(topology.INGEST_READINGS)
        consumer = await queue.consume(taken.put)
        for _ in range(2):
            await publish_as_gateway(vhost.url, "GW-0001", b"{}")
        first, second = await taken.get(), await taken.get()
        await queue.cancel(consumer)
        assert (await seen.look()).consumers == 1
        await first.ack()
        # By the answer the broker has taken the acknowledgement.
        await channel.set_qos(prefetch_count=5)
        assert (await seen.look()).consumers == 1
        await second.ack()
        await counted(0)
    await seen.close()


async def test_a_broker_that_allows_no_look_is_not_called_away(vhost: Vhost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> Never:
        raise ChannelAccessRefused("ACCESS_REFUSED - access to queue 'ingest.readings' refused")

    queue = IngestQueue(vhost.alerts_url)
    # Some versions of RabbitMQ do so, and none that the tests have.
    monkeypatch.setattr(Channel, "declare_queue", refuse)
    with pytest.raises(BrokerUnseenError, match="ACCESS_REFUSED"):
        await queue.look()
    await queue.close()
