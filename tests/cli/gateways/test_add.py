"""`mbus gateway add`: the account that it makes can publish under its own keys, and nothing else."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker_admin import BrokerAdmin
from shared.models import Gateway
from shared.registry.gateways import disable_gateway, find_gateway, find_gateways
from shared.registry.operations import register_gateway
from tests.cli.gateways.conftest import Commands
from tests.support.messages import next_message, open_channel, queue_length, writes_stamps
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def publish(url: str, key: str, *, exchange: str = topology.GATEWAYS) -> None:
    async with open_channel(url) as channel:
        to = await channel.get_exchange(exchange, ensure=False)
        await to.publish(aio_pika.Message(b"{}"), key, timeout=10)


async def test_an_added_gateway_can_publish_under_its_own_keys_only(
    engine: AsyncEngine, vhost: Vhost, building: Building, gateway: Commands, gateway_id: str
) -> None:
    access = await gateway.told("add", gateway_id, "--tenant", gateway.tenant, "--name", "In the cellar")
    assert access["username"] == access["gateway_id"] == gateway_id
    assert (access["exchange"], access["routing_key"]) == ("gateways", f"gateways.{gateway_id}.readings")

    for own in (access["routing_key"], access["wmbus_routing_key"]):
        await publish(access["amqp_url"], own)
        assert (await next_message(vhost.url, topology.INGEST_READINGS)).routing_key == own
    others = (
        "gateways.GW-0001.readings",
        f"gateways.{gateway_id}.readings.x",
        f"gateways.{gateway_id}xreadings",
        f"gateways.{gateway_id}.other",
        f"x.gateways.{gateway_id}.readings",
    )
    for key in others:
        with pytest.raises(ChannelAccessRefused):
            await publish(access["amqp_url"], key)
    for exchange in (topology.EVENTS, topology.ALERTS, topology.DEAD_LETTERS):
        with pytest.raises(ChannelAccessRefused):
            await publish(access["amqp_url"], f"readings.stored.{building.tenant_id}", exchange=exchange)
    # Past the exchange, straight into the queue.
    with pytest.raises(ChannelAccessRefused):
        await publish(access["amqp_url"], topology.INGEST_READINGS, exchange="")
    async with engine.connect() as connection:
        name = await connection.scalar(select(Gateway.name).where(Gateway.id == gateway_id))
    assert name == "In the cellar"


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_a_copy_under_anothers_key_does_not_come_from_another(
    vhost: Vhost, gateway: Commands, gateway_id: str, header: str
) -> None:
    """RabbitMQ routes by these headers too; before 4.0 it does not ask whether that is allowed."""
    access = await gateway.add(gateway_id)
    message = aio_pika.Message(b"{}", headers={header: ["gateways.GW-0001.readings", "gateways.GW-0002.wmbus"]})
    async with open_channel(access["amqp_url"]) as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS, ensure=False)
        try:
            await exchange.publish(message, access["routing_key"], timeout=10)
        except ChannelAccessRefused:
            assert await writes_stamps(vhost.url), "only 4.x refuses"
        else:
            arrived = await next_message(vhost.url, topology.INGEST_READINGS)
            assert arrived.routing_key == access["routing_key"]
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0


async def declare_a_queue(channel: AbstractChannel) -> None:
    await channel.declare_queue("mine", durable=True)


async def declare_a_queue_with_a_name_of_the_brokers(channel: AbstractChannel) -> None:
    await channel.declare_queue(exclusive=True)


async def declare_an_exchange(channel: AbstractChannel) -> None:
    await channel.declare_exchange("mine")


async def bind_the_queue_to_another_exchange(channel: AbstractChannel) -> None:
    queue = await channel.get_queue(topology.INGEST_READINGS, ensure=False)
    await queue.bind(topology.EVENTS, "#")


async def bind_an_exchange_to_its_own(channel: AbstractChannel) -> None:
    exchange = await channel.get_exchange(topology.DEAD_LETTERS, ensure=False)
    await exchange.bind(topology.GATEWAYS, "#")


async def ignore(_: AbstractIncomingMessage) -> None:
    pass


async def consume(channel: AbstractChannel) -> None:
    queue = await channel.get_queue(topology.INGEST_READINGS, ensure=False)
    await queue.consume(ignore)


async def take_one(channel: AbstractChannel) -> None:
    queue = await channel.get_queue(topology.INGEST_READINGS, ensure=False)
    await queue.get(fail=False)


async def purge(channel: AbstractChannel) -> None:
    queue = await channel.get_queue(topology.INGEST_READINGS, ensure=False)
    await queue.purge()


async def delete(channel: AbstractChannel) -> None:
    await channel.queue_delete(topology.INGEST_READINGS)


async def test_a_gateway_can_do_nothing_but_publish(gateway: Commands, gateway_id: str) -> None:
    access = await gateway.add(gateway_id)
    attempts: tuple[Callable[[AbstractChannel], Awaitable[None]], ...] = (
        declare_a_queue,
        declare_a_queue_with_a_name_of_the_brokers,
        declare_an_exchange,
        bind_the_queue_to_another_exchange,
        bind_an_exchange_to_its_own,
        consume,
        take_one,
        purge,
        delete,
    )
    for attempt in attempts:
        async with open_channel(access["amqp_url"]) as channel:
            with pytest.raises(ChannelAccessRefused):
                await attempt(channel)


async def test_what_it_prints_for_people_has_the_same_and_the_password_once(gateway: Commands, gateway_id: str) -> None:
    ended = await gateway.run("add", gateway_id, "--tenant", gateway.tenant)
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines()[:-1])
    assert told["gateway_id"] == gateway_id
    assert "mqtt_url" not in told
    await publish(told["amqp_url"], told["routing_key"])


async def test_where_gateways_find_the_broker_over_mqtt_is_told_with_their_login(
    vhost: Vhost, gateway: Commands, gateway_id: str
) -> None:
    ended = await gateway.run(
        "add", gateway_id, "--tenant", gateway.tenant, variables={"MBUS_MQTT_URL": "mqtts://mqtt.example.com:8883"}
    )
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines()[:-1])
    assert told["mqtt_topic"] == f"gateways/{gateway_id}/readings"
    # Not the virtual host of the plugin's settings, so it is named.
    assert told["mqtt_username"] == f"{vhost.name}:{gateway_id}"
    login = f"{vhost.name}%3A{gateway_id}:{told['password']}"
    assert told["mqtt_url"] == f"mqtts://{login}@mqtt.example.com:8883"


async def test_an_account_that_is_there_is_left_alone_and_the_registry_too(
    engine: AsyncEngine, gateway: Commands, gateway_id: str
) -> None:
    access = await gateway.add(gateway_id)
    await disable_gateway(engine, gateway_id, now=NOON)
    again = await gateway.run("add", gateway_id, "--tenant", gateway.tenant, "--name", "Another")
    assert (again.code, again.out) == (1, "")
    assert again.errors == (
        f"mbus: {gateway_id} has an account on the broker already; its password stays as it is"
        " (`mbus gateway rotate` makes another, `mbus gateway disable` deletes the account)\n"
    )
    found = await find_gateway(engine, gateway_id)
    assert (found.name, found.disabled_at) == (gateway_id, NOON)
    await publish(access["amqp_url"], access["routing_key"])


async def test_an_account_that_is_no_gateways_is_not_taken_over(
    engine: AsyncEngine, vhost: Vhost, building: Building, gateway: Commands
) -> None:
    ended = await gateway.run("add", vhost.ingest_name, "--tenant", gateway.tenant)
    assert ended.code == 1
    assert "has an account on the broker already" in ended.errors
    assert vhost.ingest_name not in [it.gateway_id for it in await find_gateways(engine)]
    # Also where the registry has a gateway of that name.
    await register_gateway(engine, vhost.ingest_name, tenant=gateway.tenant, name=None)
    taken = f"the broker has an account {vhost.ingest_name!r} already, which is no mbus-gateway account"
    not_its = f"the broker's account {vhost.ingest_name!r} is no mbus-gateway account"
    for command, expected in (("rotate", taken), ("disable", not_its)):
        refused = await gateway.run(command, vhost.ingest_name)
        assert (refused.code, refused.out) == (1, "")
        assert refused.errors == f"mbus: {expected}\n"
    await publish(vhost.ingest_url, f"readings.stored.{building.tenant_id}", exchange=topology.EVENTS)


@pytest.mark.parametrize(
    ("id_", "reason"),
    [
        ("GW.1", "the gateway id must be 1-64 letters, digits, hyphens and underscores"),
        ("THEIRS", "THEIRS is a gateway of another tenant"),
    ],
)
async def test_a_gateway_that_cannot_be_is_refused_before_it_has_an_account(
    engine: AsyncEngine, vhost: Vhost, gateway: Commands, id_: str, reason: str
) -> None:
    await create_building(engine, gateway_id="THEIRS")
    ended = await gateway.run("add", id_, "--tenant", gateway.tenant)
    assert (ended.code, ended.errors) == (1, f"mbus: {reason}\n")
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        assert not await admin.has_account(id_)


async def test_a_gateway_of_a_tenant_that_is_not_there_is_refused(gateway: Commands) -> None:
    ended = await gateway.run("add", "GW-NEW", "--tenant", "nobody")
    assert ended.errors == "mbus: there is no tenant 'nobody'; `mbus registry import` creates one\n"
