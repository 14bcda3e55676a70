"""A session's queue tells others whether its connection is there, and nobody else can do anything with it."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ChannelNotFoundEntity

from shared import topology
from tests.support.messages import eventually
from tests.support.vhosts import Vhost


async def is_there(url: str, queue: str) -> bool:
    connection = await aiormq.connect(url)
    async with connection:
        channel = await connection.channel()
        try:
            await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            return False
        except ChannelLockedResource:
            return True
    pytest.fail("it belongs to nobody")


async def test_alerts_sees_whether_the_connection_of_an_ingest_session_is_there(vhost: Vhost) -> None:
    queue = topology.session_queue(uuid4())
    assert not await is_there(vhost.alerts_url, queue)
    connection = await aiormq.connect(vhost.ingest_url)
    async with connection:
        await (await connection.channel()).queue_declare(queue, exclusive=True)
        assert await is_there(vhost.alerts_url, queue)

    async def is_gone() -> bool:
        return not await is_there(vhost.alerts_url, queue)

    await eventually(is_gone)


@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        (lambda channel, queue: channel.queue_declare(queue), ChannelAccessRefused),
        (lambda channel, queue: channel.queue_delete(queue), ChannelAccessRefused),
        (lambda channel, queue: channel.queue_purge(queue), ChannelLockedResource),
        (lambda channel, queue: channel.basic_get(queue), ChannelLockedResource),
    ],
    ids=["declare", "delete", "purge", "get"],
)
async def test_alerts_can_only_look(
    vhost: Vhost, what: Callable[[AbstractChannel, str], Awaitable[object]], refusal: type[Exception]
) -> None:
    queue = topology.session_queue(uuid4())
    ingest, alerts = await aiormq.connect(vhost.ingest_url), await aiormq.connect(vhost.alerts_url)
    async with ingest, alerts:
        await (await ingest.channel()).queue_declare(queue, exclusive=True)
        with pytest.raises(refusal):
            await what(await alerts.channel(), queue)


async def test_ingest_may_declare_no_other_queue(vhost: Vhost) -> None:
    connection = await aiormq.connect(vhost.ingest_url)
    async with connection:
        with pytest.raises(ChannelAccessRefused):
            await (await connection.channel()).queue_declare(topology.session_queue("mine"), exclusive=True)
