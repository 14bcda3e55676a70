"""Messages with properties that no library would write, through a real broker and the real ingest."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, publish_as_gateway, queue_length
from tests.support.raw_amqp import Property, RefusedError, arrays, long, publish_raw, short, time
from tests.support.registry import Building, create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

ODD: dict[str, dict[str, Property]] = {
    "a time in microseconds": {"timestamp": 1_790_000_000_000_000},
    "the greatest time": {"timestamp": 2**64 - 1},
    "delivery mode 7": {"delivery_mode": 7},
    "delivery mode 0": {"delivery_mode": 0},
    "a content type that is no text": {"content_type": b"\xff\xfe"},
    "an encoding that is no text": {"content_encoding": b"\xff"},
    "a message id that is no text": {"message_id": b"\xff" * 255},
    "a correlation id that is no text": {"correlation_id": b"\xff"},
    "a type that is no text": {"message_type": b"\xff"},
    "an app id that is no text": {"app_id": b"\xff"},
    "a reply address that is no text": {"reply_to": b"\xff"},
    "a header with a name that is no text": {"headers": short(b"\xff") + b"t\x01"},
    "a header with a value that is no text": {"headers": short(b"a") + long(b"\xff\xfe")},
    "a header with the greatest time": {"headers": short(b"a") + time(2**64 - 1)},
    "a header with a decimal of 255 places": {"headers": short(b"a") + b"D\xff\x00\x00\x00\x05"},
    "a header nested 10,000 times": {"headers": short(b"a") + arrays(10_000)},
    "a priority of 255": {"priority": 255},
    "all of them": {
        "content_type": b"\xff",
        "headers": short(b"\xff") + time(2**64 - 1),
        "delivery_mode": 7,
        "message_id": b"\xff",
        "timestamp": 2**64 - 1,
    },
}


def reading(building: Building, value: float = 12.5) -> bytes:
    return json.dumps(
        {
            "installation_id": str(building.installation_ids[0]),
            "timestamp": datetime(2026, 3, 1, 12, tzinfo=UTC).isoformat(),
            "value": value,
        }
    ).encode()


async def stored(engine: AsyncEngine, building: Building) -> None:
    async def is_so() -> bool:
        async with engine.connect() as connection:
            found = await connection.execute(
                text("SELECT count(*) FROM reading WHERE meter_installation_id = :id"),
                {"id": building.installation_ids[0]},
            )
            return bool(found.scalar_one())

    await eventually(is_so)


@pytest.mark.parametrize("odd", ODD)
async def test_a_reading_in_an_odd_message_is_stored_and_the_message_is_gone(
    engine: AsyncEngine, database: Database, vhost: Vhost, odd: str
) -> None:
    building = await create_building(engine, meters=1)
    key = topology.gateway_readings_key(building.gateway_id)
    values = dict(ODD[odd])
    async with running_ingest(database, vhost):
        try:
            await publish_raw(vhost.url, topology.GATEWAYS, key.encode(), reading(building), values)
        except RefusedError:
            # RabbitMQ 3.10 looks at the mode itself, and ends the sender's channel instead of a consumer's.
            if values.pop("delivery_mode", None) is None:
                raise
            await publish_raw(vhost.url, topology.GATEWAYS, key.encode(), reading(building), values)
        await stored(engine, building)
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


async def test_a_message_under_a_routing_key_that_is_no_text_becomes_a_dead_letter(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        await publish_raw(vhost.url, topology.GATEWAYS, b"gateways.\xff.readings", b"{}", {})
        letter = await next_message(vhost.url, topology.DEAD_LETTERS)
        assert letter.routing_key == "gateways.?.readings"
        await publish_as_gateway(vhost.url, building.gateway_id, reading(building))
        await stored(engine, building)


async def test_what_is_good_in_an_odd_message_stays(database: Database, vhost: Vhost) -> None:
    values: dict[str, Property] = {
        "content_type": b"text/plain",
        "headers": short(b"a") + long(b"b") + short(b"when") + time(2**64 - 1),
        "message_id": b"m-1",
        "timestamp": 2**64 - 1,
    }
    async with running_ingest(database, vhost):
        await publish_raw(vhost.url, topology.GATEWAYS, b"gateways.GW-1.readings", b"junk", values)
        letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert (letter.content_type, letter.message_id, letter.headers["a"]) == ("text/plain", "m-1", "b")
