"""The publisher outlives the broker's absence, and says what the broker refuses."""

import asyncio
import secrets

import pytest

from cli.errors import CommandError
from cli.publisher import GatewayPublisher
from shared import topology
from shared.broker_admin import BrokerAdmin
from tests.support.messages import open_channel
from tests.support.servers import Servers
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost


async def test_what_is_published_while_the_broker_is_away_arrives_when_it_is_back(vhost: Vhost) -> None:
    told: list[str] = []
    async with (
        TcpProxy(vhost.url).open() as way,
        GatewayPublisher(way.url, patience_s=None, tell=told.append) as publisher,
    ):
        await publisher.publish("GW-1", b"1")
        await way.cut()
        waiting = [asyncio.create_task(publisher.publish("GW-1", b"%d" % n)) for n in range(2, 12)]
        done, _ = await asyncio.wait(waiting, timeout=1.5)
        assert not done
        await way.restore()
        await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert await bodies(vhost) == {b"%d" % n for n in range(1, 12)}
    assert len(told) == 2
    assert told[0].startswith("the broker does not take messages (")
    assert told[1] == "the broker takes messages again"


async def test_a_message_whose_confirm_was_lost_is_sent_again(vhost: Vhost) -> None:
    async with TcpProxy(vhost.url).open() as way, GatewayPublisher(way.url, patience_s=None) as publisher:
        for n in range(5):
            sending = [asyncio.create_task(publisher.publish("GW-1", b"%d-%d" % (n, m))) for m in range(100)]
            await asyncio.sleep(0)
            await way.cut()
            await way.restore()
            await asyncio.wait_for(asyncio.gather(*sending), 30)
    assert await bodies(vhost) == {b"%d-%d" % (n, m) for n in range(5) for m in range(100)}


async def test_without_patience_a_broker_that_is_away_is_an_error(vhost: Vhost) -> None:
    async with TcpProxy(vhost.url).open() as way:
        await way.cut()
        async with GatewayPublisher(way.url) as publisher:
            with pytest.raises(OSError, match="Connect"):
                await publisher.publish("GW-1", b"1")


async def test_patience_ends(vhost: Vhost) -> None:
    async with TcpProxy(vhost.url).open() as way:
        await way.cut()
        async with GatewayPublisher(way.url, patience_s=1.0) as publisher:
            with pytest.raises(OSError, match="Connect"):
                await asyncio.wait_for(publisher.publish("GW-1", b"1"), 30)


async def test_what_the_broker_refuses_is_not_tried_again(vhost: Vhost) -> None:
    async with GatewayPublisher(vhost.alerts_url, patience_s=None) as publisher:
        with pytest.raises(CommandError, match=r"the broker refused: .*ACCESS_REFUSED"):
            await asyncio.wait_for(publisher.publish("GW-1", b"1"), 30)


async def test_a_queue_that_is_full_is_waited_for(servers: Servers) -> None:
    vhost = Vhost.for_session(servers, secrets.token_hex(4))
    async with BrokerAdmin(servers.management_url, vhost=vhost.name) as admin:
        await admin.put_vhost()
        await admin.put_full_rights(vhost.admin_name)
        await admin.put_policy("full", pattern="^ingest", apply_to="queues", definition={"max-length": 1})
        async with open_channel(vhost.url) as channel:
            await topology.declare(channel)
        try:
            await fill_and_empty(vhost)
        finally:
            await admin.delete_vhost()


async def fill_and_empty(vhost: Vhost) -> None:
    told = asyncio.Event()
    async with GatewayPublisher(vhost.url, patience_s=None, tell=lambda _: told.set()) as publisher:

        async def publish_all() -> None:
            for n in range(6):
                await publisher.publish("GW-1", b"%d" % n)

        publishing = asyncio.create_task(publish_all())
        await asyncio.wait_for(told.wait(), 30)
        found = set()
        while not publishing.done():
            found |= await bodies(vhost)
        await publishing
    assert found | await bodies(vhost) == {b"%d" % n for n in range(6)}


async def bodies(vhost: Vhost) -> set[bytes]:
    """What is in the queue of ingest, each body once."""
    async with open_channel(vhost.url) as channel:
        queue = await channel.get_queue(topology.INGEST_READINGS)
        found = set()
        while (message := await queue.get(fail=False, no_ack=True)) is not None:
            found.add(message.body)
        return found
