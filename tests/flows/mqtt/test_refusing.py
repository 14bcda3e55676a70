"""What a gateway may not do over MQTT, and what it hears when nobody takes its message."""

import asyncio
from contextlib import AbstractAsyncContextManager

import aio_pika
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from shared import topology
from shared.broker_admin import BrokerAdmin
from tests.flows.mqtt.conftest import Sender
from tests.support.messages import eventually, next_message, open_channel, queue_length
from tests.support.mqtt import DisconnectedError, Mqtt, MqttGateway, RefusedError, Will
from tests.support.vhosts import Vhost

FOREIGN = "gateways/GW-0001/readings"


async def arrived(vhost: Vhost) -> list[str | None]:
    """The keys of what came through, which a last message of the administrator ends."""
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        await exchange.publish(aio_pika.Message(b""), "gateways.LAST.readings", timeout=10)
    keys: list[str | None] = []
    while not keys or keys[-1] != "gateways.LAST.readings":
        keys.append((await next_message(vhost.url, topology.INGEST_READINGS)).routing_key)
    return keys[:-1]


async def test_a_foreign_topic_is_refused(vhost: Vhost, sender: Sender, mqtt: Mqtt) -> None:
    of_its_own = sender.topic.removesuffix("/readings")
    for topic in (FOREIGN, f"{of_its_own}/other", f"{sender.topic}/x", "x", "events", "readings/stored/x"):
        async with mqtt.connected(*sender.login) as gateway:
            with pytest.raises(DisconnectedError):
                await gateway.publish(topic, b"{}")
    # Without an answer to wait for, the end of the connection is the answer.
    async with mqtt.connected(*sender.login) as gateway:
        await gateway.publish(FOREIGN, b"{}", qos=0)
        await gateway.ended()
    assert await arrived(vhost) == []
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


async def test_a_will_comes_under_the_gateways_own_topic_only(vhost: Vhost, sender: Sender, mqtt: Mqtt) -> None:
    for topic in (FOREIGN, sender.topic):
        async with mqtt.connected(*sender.login, will=Will(topic, b"{}")) as gateway:
            gateway.drop()
            await gateway.ended()

    async def has_come() -> bool:
        return await queue_length(vhost.url, topology.INGEST_READINGS) > 0

    await eventually(has_come)
    assert await arrived(vhost) == [topology.gateway_readings_key(sender.gateway_id)]


async def test_nothing_can_be_heard(sender: Sender, mqtt: Mqtt) -> None:
    for topic in ("#", "gateways/#", FOREIGN, sender.topic):
        async with mqtt.connected(*sender.login) as gateway:
            with pytest.raises((RefusedError, DisconnectedError)):
                await gateway.subscribe(topic)


async def test_nobody_gets_in_without_name_and_password(
    vhost: Vhost, sender: Sender, mqtt_versions: dict[str, MQTTProtocolVersion]
) -> None:
    name, password = sender.login
    logins: list[AbstractAsyncContextManager[MqttGateway]] = []
    for version in mqtt_versions.values():
        mqtt = Mqtt(vhost.mqtt_url, vhost.name, version)
        logins += [mqtt.connected(name, "wrong"), mqtt.connected("GW-NONE", password), mqtt.connected(name, "")]
        logins += [MqttGateway.connected(mqtt.url, username=None, password=None, protocol=version)]
    # At once: the broker makes each wait for its answer.
    answers = await asyncio.gather(*(login.__aenter__() for login in logins), return_exceptions=True)
    assert [type(answer) for answer in answers] == [RefusedError] * len(logins)


async def test_what_no_queue_takes_is_a_dead_letter(vhost: Vhost, sender: Sender, mqtt: Mqtt) -> None:
    async with open_channel(vhost.url) as channel:
        queue = await channel.get_queue(topology.INGEST_READINGS)
        for binding in topology.INGEST_QUEUE.bindings:
            await queue.unbind(binding.exchange, binding.pattern)
        try:
            async with mqtt.connected(*sender.login) as gateway:
                assert await gateway.publish(sender.topic, b"{}") == "Success"
        finally:
            await topology.declare(channel)
    assert (await next_message(vhost.url, topology.DEAD_LETTERS)).body == b"{}"


async def publish_until_refused(gateway: MqttGateway, topic: str) -> tuple[int, str]:
    """How many messages were acknowledged before one was not, and how the client hears that."""
    # A policy takes a moment, and a few more than its limit are taken.
    for acknowledged in range(1000):
        try:
            reason = await gateway.publish(topic, b"{}")
        except (TimeoutError, DisconnectedError) as error:
            return acknowledged, type(error).__name__
        if reason != "Success":
            return acknowledged, reason
    raise AssertionError("a full queue takes everything")


async def test_what_a_full_queue_refuses_is_not_acknowledged(vhost: Vhost, sender: Sender, mqtt: Mqtt) -> None:
    """MQTT 5 says so; before, the broker says nothing (4.x) or ends the connection (3.10)."""
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await admin.put_policy(
            "test-full", pattern=f"^{topology.INGEST_READINGS}$", apply_to="queues", definition={"max-length": 1}
        )
        try:
            async with mqtt.connected(*sender.login, answer_timeout_s=2) as gateway:
                acknowledged, refusal = await publish_until_refused(gateway, sender.topic)
        finally:
            await admin.delete_policy("test-full")
    assert (refusal == "Implementation specific error") == mqtt.is_5
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == acknowledged


async def test_a_client_that_sends_far_too_much_is_not_acknowledged_where_the_broker_can_tell(
    vhost: Vhost, sender: Sender, mqtt: Mqtt
) -> None:
    body = b" " * 6_000_000
    async with mqtt.connected(*sender.login) as gateway:
        try:
            assert await gateway.publish(sender.topic, body) == "Success"
        except DisconnectedError:
            taken = 0
        else:
            taken = 1
    # Before 4.0 the broker has no such limit: ingest makes it a dead letter.
    assert len(await arrived(vhost)) == taken
