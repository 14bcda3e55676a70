"""What ingest has in hand while it cannot write: few large messages, many small ones, and all are stored in the end."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from services.ingest.window import TOO_MUCH
from shared import topology
from tests.support.databases import Database
from tests.support.messages import eventually, open_channel, queue_length
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IN_HAND_BYTES = 1024 * 1024
LARGE = 250_000


@pytest.fixture
async def app(database: Database, vhost: Vhost) -> AsyncIterator[FastAPI]:
    """Ingest, consuming, with room for four large messages."""
    settings = {"database_url": database.ingest_url, "broker_url": vhost.ingest_url, "in_hand_bytes": IN_HAND_BYTES}
    app = create_app(IngestSettings.model_validate(settings))
    async with app.router.lifespan_context(app):
        yield app


async def figure(app: FastAPI, name: str) -> float:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://ingest") as client:
        families = text_string_to_metric_families((await client.get("/metrics")).text)
    return next(sample.value for family in families for sample in family.samples if sample.name == name)


async def publish(vhost: Vhost, building: Building, hours: Sequence[int], *, size: int = 0) -> None:
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        for hour in hours:
            reading = {
                "installation_id": str(building.installation_ids[0]),
                "timestamp": (NOON - timedelta(hours=hour)).isoformat(),
                "value": hour,
                "padding": "x" * size,
            }
            message = aio_pika.Message(json.dumps(reading).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(message, topology.gateway_readings_key(building.gateway_id), timeout=10)


async def stored(engine: AsyncEngine, vhost: Vhost, readings: int) -> None:
    async def is_so() -> bool:
        async with engine.connect() as connection:
            return bool(await connection.scalar(text("SELECT count(*) FROM reading")) == readings)

    await eventually(is_so)
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


@asynccontextmanager
async def nothing_can_be_written(engine: AsyncEngine) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE"))
        yield


async def test_of_large_messages_few_are_taken(engine: AsyncEngine, vhost: Vhost, app: FastAPI) -> None:
    building = await create_building(engine, meters=1)
    async with nothing_can_be_written(engine):
        await publish(vhost, building, range(12), size=LARGE)

        async def settled() -> bool:
            in_hand = await figure(app, "mbus_ingest_in_hand_messages")
            return 2 <= in_hand <= 4 and in_hand + await queue_length(vhost.url, topology.INGEST_READINGS) == 12

        await eventually(settled)
    await stored(engine, vhost, 12)


async def test_messages_that_grow_large_all_at_once_go_back_as_far_as_they_are_too_much(
    engine: AsyncEngine, vhost: Vhost, app: FastAPI
) -> None:
    building = await create_building(engine, meters=1)
    await publish(vhost, building, range(800))
    await stored(engine, vhost, 800)
    async with nothing_can_be_written(engine):
        await publish(vhost, building, range(800, 1000))

        async def many() -> bool:
            return await figure(app, "mbus_ingest_in_hand_messages") >= 100

        # By now they are known to be small.
        await eventually(many)
    await stored(engine, vhost, 1000)
    async with nothing_can_be_written(engine):
        await publish(vhost, building, range(1000, 1040), size=LARGE)

        async def settled() -> bool:
            in_hand = await figure(app, "mbus_ingest_in_hand_messages")
            return in_hand + await queue_length(vhost.url, topology.INGEST_READINGS) == 40

        await eventually(settled)
        assert await figure(app, "mbus_ingest_in_hand_bytes") <= TOO_MUCH * IN_HAND_BYTES + 5 * LARGE
    await stored(engine, vhost, 1040)
