"""What an account of `mbus subscriber add` reads: its own tenant's events, whatever it binds, and nothing else."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aio_pika
import httpx2
import pytest
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused

from shared import topology
from shared.messages.alert_events import AlertEventType
from shared.subscriber_accounts import QUEUES_BOUNDS
from tests.cli.subscribers.conftest import Commands
from tests.support.messages import eventually, open_channel, queue_length
from tests.support.mqtt import DisconnectedError, Mqtt, RefusedError
from tests.support.registry import Building
from tests.support.vhosts import Vhost

STALE = AlertEventType.INSTALLATION_STALE


@pytest.fixture
def foreign() -> str:
    """Another tenant's id."""
    return str(uuid4())


@pytest.fixture
async def own(subscriber: Commands, building: Building, name: str) -> "Own":
    """A channel of a subscriber's, and a queue that it declared there."""
    access = await subscriber.add(name)
    assert access["queue"] == f"sub.{building.tenant_id}.{name}"
    assert access["binding"] == f"{building.tenant_id}.#"
    return Own(access["amqp_url"], str(building.tenant_id), access["queue"])


class Own:
    """What is a subscriber's own."""

    def __init__(self, url: str, tenant: str, queue: str) -> None:
        self.url = url
        self.tenant = tenant
        self.queue = queue

    async def declared(self, channel: AbstractChannel) -> aio_pika.abc.AbstractQueue:
        return await channel.declare_queue(self.queue, durable=True)


async def tell(vhost: Vhost, tenant: str | None, kind: str = STALE) -> None:
    """Publish an event as alerts does; returns when the broker has put it where it belongs."""
    async with open_channel(vhost.alerts_url) as channel:
        exchange = await channel.get_exchange(topology.ALERTS, ensure=False)
        key = topology.alert_key(tenant, kind)
        await exchange.publish(aio_pika.Message(key.encode()), key, mandatory=False, timeout=10)


async def all_of(queue: aio_pika.abc.AbstractQueue) -> list[str | None]:
    """The keys of what waits in a queue."""
    keys = []
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        keys.append(message.routing_key)
    return keys


async def test_it_reads_its_own_tenants_events_and_no_others_by_any_pattern_of_its_own(
    vhost: Vhost, own: Own, foreign: str
) -> None:
    async with open_channel(own.url) as channel:
        for pattern in ("#", "*.stale", "*.*", "installation.stale"):
            queue = await own.declared(channel)
            await queue.bind(topology.ALERTS, f"{own.tenant}.{pattern}")
            for tenant in (foreign, own.tenant, None):
                await tell(vhost, tenant)
            assert await all_of(queue) == [f"{own.tenant}.{STALE}"]
            await queue.unbind(topology.ALERTS, f"{own.tenant}.{pattern}")


NOT_ITS_OWN = (
    *("#", "", "*", "*.#", "#.installation.stale", "*.installation.stale", "*.*.*", "operator.#"),
    *("{foreign}.#", "{foreign}.*.*", "{own}", "#.{own}.#", "*.{own}.#", "{own}x.#", "x{own}.#", "{upper}.#"),
)


async def test_it_binds_by_no_pattern_that_could_match_others_neither_a_queue_nor_an_exchange(
    vhost: Vhost, own: Own, foreign: str
) -> None:
    through = f"{own.queue}.through"
    async with open_channel(own.url) as channel:
        await own.declared(channel)
        exchange = await channel.declare_exchange(through, ExchangeType.TOPIC, durable=True)
        await queue_of(channel, own.queue).bind(exchange, "#")
    for pattern in NOT_ITS_OWN:
        key = pattern.format(foreign=foreign, own=own.tenant, upper=own.tenant.upper())
        async with open_channel(own.url) as channel:
            with pytest.raises(ChannelAccessRefused):
                await queue_of(channel, own.queue).bind(topology.ALERTS, key)
        async with open_channel(own.url) as channel:
            with pytest.raises(ChannelAccessRefused):
                await (await channel.get_exchange(through, ensure=False)).bind(topology.ALERTS, key)
    await tell(vhost, foreign)
    await tell(vhost, None, AlertEventType.PIPELINE_DEGRADED)
    assert await queue_length(vhost.url, own.queue) == 0


async def test_what_goes_through_an_exchange_of_its_own_is_its_own_too(vhost: Vhost, own: Own, foreign: str) -> None:
    async with open_channel(own.url) as channel:
        queue = await own.declared(channel)
        through = await channel.declare_exchange(f"{own.queue}.through", ExchangeType.TOPIC, durable=True)
        await through.bind(topology.ALERTS, f"{own.tenant}.#")
        await queue.bind(through, "#")
        for tenant in (foreign, own.tenant):
            await tell(vhost, tenant)
        assert await all_of(queue) == [f"{own.tenant}.{STALE}"]


def queue_of(channel: AbstractChannel, name: str) -> aio_pika.abc.AbstractQueue:
    """A queue that need not be there."""
    return aio_pika.Queue(channel, name, False, False, False, None)


async def ignore(_: AbstractIncomingMessage) -> None:
    pass


Attempt = Callable[[AbstractChannel, Own, str], Awaitable[object]]


def attempts() -> dict[str, Attempt]:
    """What a subscriber must not be able to do; each is given its own, and the queue of another tenant's subscriber."""

    async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
        to = await channel.get_exchange(exchange, ensure=False)
        await to.publish(aio_pika.Message(b"{}"), key, timeout=10)

    return {
        "publishes to alerts under its key": lambda c, own, _: publish(c, topology.ALERTS, f"{own.tenant}.{STALE}"),
        "publishes as a gateway": lambda c, _, __: publish(c, topology.GATEWAYS, "gateways.GW-0001.readings"),
        "publishes to events": lambda c, own, _: publish(c, topology.EVENTS, f"readings.stored.{own.tenant}"),
        "publishes into a queue": lambda c, own, _: publish(c, "", own.queue),
        "publishes to dead-letters": lambda c, _, __: publish(c, topology.DEAD_LETTERS, ""),
        "declares a queue of another name": lambda c, _, __: c.declare_queue("alerts.mine"),
        "lets the broker name its queue": lambda c, _, __: c.declare_queue(exclusive=True),
        "declares a queue of its tenant's without a dot": lambda c, own, _: c.declare_queue(f"sub.{own.tenant}"),
        "declares a queue of another tenant's": lambda c, _, theirs: c.declare_queue(f"{theirs}.more"),
        "declares an exchange": lambda c, _, __: c.declare_exchange("mine"),
        "deletes alerts": lambda c, _, __: c.exchange_delete(topology.ALERTS),
        "consumes another's": lambda c, _, theirs: queue_of(c, theirs).consume(ignore),
        "gets from another's": lambda c, _, theirs: queue_of(c, theirs).get(fail=False),
        "gets from ingest's": lambda c, _, __: queue_of(c, topology.INGEST_READINGS).get(fail=False),
        "gets from dead-letters": lambda c, _, __: queue_of(c, topology.DEAD_LETTERS).get(fail=False),
        "purges another's": lambda c, _, theirs: queue_of(c, theirs).purge(),
        "deletes another's": lambda c, _, theirs: c.queue_delete(theirs),
        "binds another's": lambda c, own, theirs: queue_of(c, theirs).bind(topology.ALERTS, f"{own.tenant}.#"),
        "unbinds ingest's": lambda c, _, __: queue_of(c, topology.INGEST_READINGS).unbind(topology.GATEWAYS, "#"),
        "binds its own to gateways": lambda c, own, _: queue_of(c, own.queue).bind(topology.GATEWAYS, "#"),
        "binds its own to events": lambda c, own, _: queue_of(c, own.queue).bind(topology.EVENTS, "readings.stored.*"),
        "binds its own to dead-letters": lambda c, own, _: queue_of(c, own.queue).bind(topology.DEAD_LETTERS, ""),
        "binds its own to the broker's log": lambda c, own, _: queue_of(c, own.queue).bind("amq.rabbitmq.log", "#"),
        "binds its own to the broker's trace": lambda c, own, _: queue_of(c, own.queue).bind("amq.rabbitmq.trace", "#"),
        "lets its queue put letters into ingest's": lambda c, own, _: c.declare_queue(
            f"{own.queue}.dlx",
            arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": topology.INGEST_READINGS},
        ),
        "lets its queue put letters into alerts": lambda c, own, _: c.declare_queue(
            f"{own.queue}.dlx", arguments={"x-dead-letter-exchange": topology.ALERTS}
        ),
        "lets its exchange pass on to gateways": lambda c, own, _: c.declare_exchange(
            f"{own.queue}.ae", arguments={"alternate-exchange": topology.GATEWAYS}
        ),
    }


async def test_it_can_do_nothing_else(vhost: Vhost, own: Own, foreign: str) -> None:
    theirs = f"sub.{foreign}.somebody"
    async with open_channel(vhost.url) as administrators, open_channel(own.url) as channel:
        await administrators.declare_queue(theirs, durable=True)
        await own.declared(channel)
    allowed = []
    for what, attempt in attempts().items():
        async with open_channel(own.url) as channel:
            try:
                await attempt(channel, own, theirs)
            except ChannelAccessRefused:
                continue
        allowed.append(what)
    assert allowed == []


async def test_one_of_operators_reads_events_of_the_pipeline_and_none_of_a_tenant(
    vhost: Vhost, subscriber: Commands, building: Building, name: str
) -> None:
    access = await subscriber.told("add", name, "--operator")
    assert (access["tenant"], access["binding"], access["queue"]) == (None, "operator.#", f"sub.operator.{name}")
    async with open_channel(access["amqp_url"]) as channel:
        queue = await channel.declare_queue(access["queue"], durable=True)
        await queue.bind(access["exchange"], access["binding"])
        await tell(vhost, str(building.tenant_id))
        await tell(vhost, None, AlertEventType.PIPELINE_RECOVERED)
        assert await all_of(queue) == ["operator.pipeline.recovered"]
        with pytest.raises(ChannelAccessRefused):
            await queue.bind(access["exchange"], f"{building.tenant_id}.#")


async def test_its_queues_are_bounded_whatever_they_were_declared_with(vhost: Vhost, own: Own) -> None:
    for kind in ("classic", "quorum"):
        async with open_channel(own.url) as channel:
            await channel.declare_queue(
                f"{own.queue}.{kind}", durable=True, arguments={"x-queue-type": kind, "x-max-length": 10_000_000}
            )

    async def bounds(kind: str) -> object:
        queue = f"{quote(vhost.name, safe='')}/{quote(own.queue, safe='')}.{kind}"
        async with httpx2.AsyncClient(trust_env=False) as client:
            told = (await client.get(f"{vhost.management_url}/api/queues/{queue}")).json()
            return told.get("effective_policy_definition")  # some seconds after the queue was declared

    async def bounded() -> bool:
        return [await bounds("classic"), await bounds("quorum")] == [QUEUES_BOUNDS, QUEUES_BOUNDS]

    await eventually(bounded)


async def test_over_mqtt_it_is_told_nothing_and_publishes_nothing(mqtt: Mqtt, vhost: Vhost, own: Own) -> None:
    login = urlsplit(own.url)
    name, password = login.username or "", login.password or ""
    for topic in ("#", "alerts/#", f"{own.tenant}/#", f"{own.tenant}/installation/stale", "gateways/#"):
        async with mqtt.connected(name, password) as client:
            # 3.10 ends the connection, 4.x says that it may not.
            with pytest.raises((RefusedError, DisconnectedError)):
                await client.subscribe(topic)
    async with mqtt.connected(name, password, answer_timeout_s=3) as client:
        answer = "none"
        with suppress(DisconnectedError, TimeoutError):
            answer = await client.publish("gateways/GW-0001/readings", b"{}")
        assert answer != "Success"
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0
