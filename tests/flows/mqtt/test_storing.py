"""What a gateway publishes over MQTT is stored as what it publishes over AMQP: none lost, none twice."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.dead_letters import REASON_HEADER
from shared.messages.gateway import MAX_MESSAGE_BYTES
from shared.messages.readings_stored import decode
from tests.flows.mqtt.conftest import Sender
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, writes_stamps
from tests.support.mqtt import Mqtt
from tests.support.registry import Building, create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def ingest(database: Database, vhost: Vhost) -> AsyncIterator[None]:
    async with running_ingest(database, vhost, trust_broker_stamps=await writes_stamps(vhost.url)):
        yield


@pytest.fixture
async def building(engine: AsyncEngine, sender: Sender) -> Building:
    return await create_building(engine, gateway_id=sender.gateway_id)


def batch(building: Building, *, first: int = 0, number: int = 100, **more: object) -> bytes:
    meter = str(building.installation_ids[0])
    return json.dumps(
        {
            "readings": [
                {"installation_id": meter, "timestamp": (NOON + timedelta(hours=n)).isoformat(), "value": n + 0.5}
                for n in range(first, first + number)
            ]
        }
        | more
    ).encode()


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0


@pytest.mark.usefixtures("ingest")
async def test_a_batch_is_stored(engine: AsyncEngine, building: Building, sender: Sender, mqtt: Mqtt) -> None:
    async with mqtt.connected(*sender.login) as gateway:
        ways: tuple[dict[str, Any], ...] = ({"qos": 1}, {"qos": 0}, {"qos": 1, "retain": True})
        for number, way in enumerate(ways):
            assert await gateway.publish(sender.topic, batch(building, first=100 * number), **way) == "Success"

        async def is_stored() -> bool:
            return await count(engine, "reading") == 300

        await eventually(is_stored)


@pytest.mark.usefixtures("ingest")
async def test_the_same_message_again_changes_nothing(
    engine: AsyncEngine, building: Building, sender: Sender, mqtt: Mqtt
) -> None:
    async with mqtt.connected(*sender.login) as gateway:
        await gateway.publish(sender.topic, batch(building))

    async def rows() -> list[tuple[object, ...]]:
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT xmin::text, reading.* FROM reading ORDER BY timestamp"))
            return [tuple(row) for row in found]

    async def is_stored() -> bool:
        return len(await rows()) == 100

    await eventually(is_stored)
    before = await rows()
    # On another connection, as after a PUBACK that was lost; the last one tells when the others are through.
    async with mqtt.connected(*sender.login) as gateway:
        for _ in range(3):
            await gateway.publish(sender.topic, batch(building))
        await gateway.publish(sender.topic, batch(building, number=1, gateway_id="GW-LAST"))

    async def is_through() -> bool:
        return await count(engine, "quarantined_reading") == 1

    await eventually(is_through)
    assert await rows() == before
    assert await count(engine, "reading_correction") == 0


@pytest.mark.usefixtures("ingest")
async def test_a_body_that_names_another_gateway_is_kept_aside(
    engine: AsyncEngine, building: Building, sender: Sender, mqtt: Mqtt
) -> None:
    async with mqtt.connected(*sender.login) as gateway:
        assert await gateway.publish(sender.topic, batch(building, number=2, gateway_id="GW-0001")) == "Success"

    async def is_kept() -> bool:
        return await count(engine, "quarantined_reading") == 2

    await eventually(is_kept)
    async with engine.connect() as connection:
        kept = await connection.execute(text("SELECT DISTINCT gateway_id, reason FROM quarantined_reading"))
        assert list(kept) == [(sender.gateway_id, "gateway_mismatch")]
    assert await count(engine, "reading") == 0


@pytest.mark.usefixtures("ingest")
async def test_what_is_no_message_is_taken_and_kept_whole_with_the_reason(
    vhost: Vhost, sender: Sender, mqtt: Mqtt
) -> None:
    async with mqtt.connected(*sender.login) as gateway:
        for body in (b"\xff", b'{"readings": [', b"", b"[" + b" " * MAX_MESSAGE_BYTES):
            assert await gateway.publish(sender.topic, body) == "Success"
            letter = await next_message(vhost.url, topology.DEAD_LETTERS)
            assert letter.body == body
            assert letter.headers[REASON_HEADER]


async def test_it_is_persistent_under_the_gateways_key_and_stamped_where_the_broker_stamps(
    vhost: Vhost, sender: Sender, mqtt: Mqtt
) -> None:
    async with mqtt.connected(*sender.login, client_id=f"{vhost.name}-stays", stays=True) as gateway:
        for topic in (sender.topic, sender.wmbus_topic):
            await gateway.publish(topic, b"{}")
    stamped = await writes_stamps(vhost.url)
    for content in topology.GatewayFormat:
        message = await next_message(vhost.url, topology.INGEST_READINGS)
        assert message.routing_key == topology.gateway_key(sender.gateway_id, content)
        assert message.delivery_mode == 2
        assert ("timestamp_in_ms" in message.headers) == stamped


@pytest.mark.usefixtures("ingest")
async def test_the_trace_in_the_user_properties_goes_on_to_the_event(
    vhost: Vhost, building: Building, sender: Sender, mqtt: Mqtt
) -> None:
    if not mqtt.is_5:
        pytest.skip("user properties came with MQTT 5")
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with mqtt.connected(*sender.login) as gateway:
        await gateway.publish(sender.topic, batch(building), user_properties={"traceparent": traceparent})
    event = decode((await next_message(vhost.url, topology.ALERTS_READINGS_STORED)).body)
    assert event.traceparent == traceparent
