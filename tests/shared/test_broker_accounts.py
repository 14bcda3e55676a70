"""What the account of alerts may do on the broker: tell under the keys of alert events, and nothing else."""

from uuid import uuid4

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from shared import topology
from shared.messages.alert_events import AlertEventType
from tests.support.messages import Subscriber, open_channel
from tests.support.vhosts import Vhost


async def publish(url: str, exchange: str, key: str) -> None:
    async with open_channel(url) as channel:
        to = await channel.get_exchange(exchange, ensure=False)
        await to.publish(aio_pika.Message(b"{}"), key, mandatory=False, timeout=10)


async def test_alerts_publishes_every_type_for_a_tenant_or_for_operators(vhost: Vhost) -> None:
    keys = [topology.alert_key(tenant, kind) for tenant in (uuid4(), None) for kind in AlertEventType]
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber:
        for key in keys:
            await publish(vhost.alerts_url, topology.ALERTS, key)
        assert [(await subscriber.next()).routing_key for _ in keys] == keys


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (topology.ALERTS, "somebody.installation.stale"),
        (topology.ALERTS, f"{uuid4()}.installation.stolen"),
        (topology.ALERTS, f"{uuid4()}.installation.stale.x"),
        (topology.ALERTS, "installation.stale"),
        (topology.EVENTS, f"readings.stored.{uuid4()}"),
        (topology.GATEWAYS, "gateways.GW-0001.readings"),
    ],
)
async def test_alerts_publishes_under_no_other_key(vhost: Vhost, exchange: str, key: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        await publish(vhost.alerts_url, exchange, key)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [(topology.EVENTS, "#"), (topology.EVENTS, "readings.stored.#"), (topology.ALERTS, "#")],
)
async def test_alerts_takes_from_exchanges_only_what_its_queue_is_bound_to(
    vhost: Vhost, exchange: str, key: str
) -> None:
    async with open_channel(vhost.alerts_url) as channel:
        queue = await channel.get_queue(topology.ALERTS_READINGS_STORED, ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await queue.bind(exchange, key)
