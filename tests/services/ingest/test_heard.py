"""A gateway that sends is alive: ingest notes when each was heard, in the transaction that stores what it sent."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.delivery import GatewayDelivery
from services.ingest.heard import PRECISION
from services.ingest.operations import Memory, store
from shared.models import Gateway, GatewayHeard
from shared.topology import GatewayFormat
from tests.services.ingest.test_rounds import answered, ask, beats, is_empty
from tests.support.databases import Database
from tests.support.messages import eventually, publish_as_gateway
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
READING = b'{"meter_serial": "70000000", "timestamp": "2026-03-01T11:00:00Z", "value": 1}'
EMPTY = b'{"readings": []}'


def sent(gateway_id: str, body: bytes = READING, *, after_s: float = 0, is_replay: bool = False) -> GatewayDelivery:
    received_at = NOON + timedelta(seconds=after_s)
    return GatewayDelivery(gateway_id, body, received_at, may_correct=True, is_replay=is_replay)


async def write(engine: AsyncEngine, deliveries: Sequence[GatewayDelivery], memory: Memory | None = None) -> None:
    await store(engine, deliveries, memory or Memory(), lambda: NOON + timedelta(days=1))


async def heard(engine: AsyncEngine) -> dict[str, float]:
    """For each gateway how many seconds after noon it was heard."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(GatewayHeard.gateway_id, GatewayHeard.heard_at))
        return {row.gateway_id: (row.heard_at - NOON).total_seconds() for row in rows}


@pytest.mark.parametrize("body", [READING, EMPTY, b'{"meter_serial": "of nobody"}'], ids=["good", "empty", "refused"])
async def test_it_is_heard_whatever_its_message_holds(engine: AsyncEngine, body: bytes) -> None:
    building = await create_building(engine, meters=1)
    await write(engine, [sent(building.gateway_id, body)])
    assert await heard(engine) == {building.gateway_id: 0}


async def test_it_is_heard_by_telegrams_too(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    await write(
        engine, [GatewayDelivery(building.gateway_id, b"{}", NOON, may_correct=True, format=GatewayFormat.WMBUS)]
    )
    assert await heard(engine) == {building.gateway_id: 0}


async def test_the_newest_message_of_each_counts_and_time_goes_forward_only(engine: AsyncEngine) -> None:
    one, other = await create_building(engine, meters=1), await create_building(engine, meters=1)
    batch = [sent(one.gateway_id, after_s=at) for at in (20, 30, 10)]
    await write(engine, [*batch, sent(other.gateway_id, after_s=5)])
    assert await heard(engine) == {one.gateway_id: 30, other.gateway_id: 5}
    await write(engine, [sent(one.gateway_id, after_s=29), sent(other.gateway_id, after_s=6)])
    assert await heard(engine) == {one.gateway_id: 30, other.gateway_id: 6}


async def test_within_a_second_it_is_written_once(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    memory = Memory()
    for after_s in (0.0, 0.5, 0.999):
        await write(engine, [sent(building.gateway_id, after_s=after_s)], memory)
        assert await heard(engine) == {building.gateway_id: 0}
    await write(engine, [sent(building.gateway_id, after_s=PRECISION.total_seconds())], memory)
    assert await heard(engine) == {building.gateway_id: 1}


async def test_neither_replays_nor_unknown_nor_disabled_gateways_are_heard(engine: AsyncEngine) -> None:
    building, disabled = await create_building(engine, meters=1), await create_building(engine, meters=1)
    async with engine.begin() as connection:
        await connection.execute(update(Gateway).where(Gateway.id == disabled.gateway_id).values(deleted_at=NOON))
    unheard = [sent(building.gateway_id, is_replay=True), sent(disabled.gateway_id), sent("GW-of-nobody")]
    await write(engine, [*unheard, sent(building.gateway_id, b"no message")])
    assert await heard(engine) == {}


async def test_writers_with_the_same_gateways_at_once_do_not_stop_each_other(engine: AsyncEngine) -> None:
    ids = [(await create_building(engine, meters=1)).gateway_id for _ in range(20)]
    memories = Memory(), Memory()
    for turn in range(1, 11):
        forth = [sent(gateway_id, EMPTY, after_s=2 * turn) for gateway_id in ids]
        await asyncio.gather(write(engine, forth, memories[0]), write(engine, forth[::-1], memories[1]))
    assert await heard(engine) == dict.fromkeys(ids, 20)


async def test_it_is_written_before_the_message_counts_as_dealt_with(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        async with engine.begin() as connection:
            await connection.execute(text("LOCK TABLE gateway_heard IN ACCESS EXCLUSIVE MODE"))
            await publish_as_gateway(vhost.url, building.gateway_id, EMPTY)
            await eventually(lambda: is_empty(vhost))
            held = await ask(engine)
            assert (await beats(engine)).round == 0
        await answered(engine, held)
    assert building.gateway_id in await heard(engine)
