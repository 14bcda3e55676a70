"""When the broker accepted a message decides which of two values is the newer, where the broker says so."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from tests.support.databases import Database
from tests.support.messages import next_message, publish_as_gateway, writes_stamps
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER, LATER = 1_760_000_000_000, 1_760_000_060_000
"""Milliseconds since 1970, as RabbitMQ's interceptor writes them."""


async def send_two(
    engine: AsyncEngine, database: Database, vhost: Vhost, *, trust: bool, stamps: tuple[int, int]
) -> list[tuple[float, datetime]]:
    """Publish 1.0 and then 2.0 for the same time, stamped so; returns what is stored."""
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost, trust_broker_stamps=trust):
        for value, stamp in zip((1.0, 2.0), stamps, strict=True):
            reading = {"meter_serial": "70000000", "timestamp": NOON.isoformat(), "value": value}
            await publish_as_gateway(vhost.url, building.gateway_id, reading, headers={"timestamp_in_ms": stamp})
            await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT value, received_at FROM reading"))
        return [(row.value, row.received_at) for row in rows]


async def test_the_broker_s_stamps_are_those_that_count_where_it_writes_them(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    if not await writes_stamps(vhost.url):
        pytest.skip("this broker writes no stamps")
    ((value, received_at),) = await send_two(engine, database, vhost, trust=True, stamps=(LATER, EARLIER))
    assert value == 2.0
    assert abs((datetime.now(UTC) - received_at).total_seconds()) < 60


async def test_the_value_that_the_broker_accepted_later_wins_whatever_comes_first(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    if await writes_stamps(vhost.url):
        pytest.skip("this broker puts its own stamps over those of the test")
    stored = await send_two(engine, database, vhost, trust=True, stamps=(LATER, EARLIER))
    assert stored == [(1.0, datetime.fromtimestamp(LATER / 1000, UTC))]


async def test_a_stamp_is_nobodys_word_where_the_broker_is_not_said_to_write_it(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    ((value, received_at),) = await send_two(engine, database, vhost, trust=False, stamps=(LATER, EARLIER))
    assert value == 2.0
    assert abs((datetime.now(UTC) - received_at).total_seconds()) < 60


@pytest.mark.parametrize("stamp", [-(2**62), 2**62, 0], ids=["far past", "far future", "1970"])
async def test_a_stamp_that_cannot_be_costs_no_reading(
    engine: AsyncEngine, database: Database, vhost: Vhost, stamp: int
) -> None:
    ((value, received_at),) = await send_two(engine, database, vhost, trust=True, stamps=(stamp, LATER))
    assert value in {1.0, 2.0}
    assert received_at <= datetime.now(UTC)
