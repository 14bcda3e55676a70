"""Accounts of gateways over MQTT: what `mbus gateway` prints lets in, and what it ends is ended."""

from urllib.parse import unquote, urlsplit

from shared import topology
from tests.cli.gateways.conftest import Commands
from tests.support.messages import next_message
from tests.support.mqtt import Mqtt
from tests.support.vhosts import Vhost


async def test_an_account_publishes_until_its_password_is_rotated_or_it_is_disabled(
    vhost: Vhost, gateway: Commands, gateway_id: str, mqtt: Mqtt
) -> None:
    told = await gateway.told("add", gateway_id, "--tenant", gateway.tenant, variables={"MBUS_MQTT_URL": mqtt.url})
    login = urlsplit(told["mqtt_url"])
    assert (unquote(login.username or ""), unquote(login.password or "")) == (told["mqtt_username"], told["password"])
    assert told["mqtt_username"] == f"{mqtt.vhost}:{gateway_id}"
    async with mqtt.connected(gateway_id, told["password"]) as client:
        assert await client.publish(told["mqtt_topic"], b"{}") == "Success"
        assert (await next_message(vhost.url, topology.INGEST_READINGS)).routing_key == told["routing_key"]
        new = await gateway.told("rotate", gateway_id)
        await client.ended()
    async with mqtt.connected(gateway_id, new["password"]) as client:
        assert await client.publish(told["wmbus_mqtt_topic"], b"{}") == "Success"
        await gateway.told("disable", gateway_id)
        await client.ended()
