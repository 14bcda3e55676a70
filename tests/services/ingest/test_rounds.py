"""Ingest's sessions tell alerts what they have dealt with: not before it is, and whatever happens to the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aio_pika
import pytest
from sqlalchemy import Row, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.models import IngestSession, Pipeline
from tests.services.ingest.test_database_away import ingest, ready, send, stored, with_driver
from tests.support.databases import Database
from tests.support.messages import eventually, open_channel, publish_as_gateway, queue_length
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost


async def sessions(engine: AsyncEngine) -> list[Row[Any]]:
    async with engine.connect() as connection:
        return list(await connection.execute(select(IngestSession.__table__)))


async def ask(engine: AsyncEngine) -> int:
    """Begin a round, as alerts does."""
    async with engine.begin() as connection:
        asked = await connection.execute(update(Pipeline).values(round=Pipeline.round + 1).returning(Pipeline.round))
        return asked.scalar_one()


async def answered(engine: AsyncEngine, round_: int, *, by: int = 1) -> list[Row[Any]]:
    async def is_so() -> bool:
        rows = await sessions(engine)
        return len(rows) == by and all(row.round == round_ for row in rows)

    await eventually(is_so)
    return await sessions(engine)


async def beats(engine: AsyncEngine, times: int = 2) -> Row[Any]:
    """Wait for the only session to beat so often; its row."""
    for _ in range(times):
        (before,) = await sessions(engine)

        async def later(before: datetime = before.beat_at) -> bool:
            return all(row.beat_at > before for row in await sessions(engine))

        await eventually(later)
    (row,) = await sessions(engine)
    return row


async def is_empty(vhost: Vhost) -> bool:
    return await queue_length(vhost.url, topology.INGEST_READINGS) == 0


async def said(event: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wait until ingest has logged it."""
    log: list[str] = []

    async def is_so() -> bool:
        log.append(capsys.readouterr().out)
        return event in "".join(log)

    await eventually(is_so)


@asynccontextmanager
async def nothing_can_be_written(engine: AsyncEngine) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE"))
        yield


async def test_a_round_is_answered_when_all_that_was_in_hand_at_its_question_is_dealt_with(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        (idle,) = await answered(engine, await ask(engine))
        assert (idle.received, idle.given_back) == (0, 0)
        assert idle.started_at < idle.beat_at
        async with nothing_can_be_written(engine):
            await send(vhost, building, 1, 2, 3)
            await eventually(lambda: is_empty(vhost))
            held = await ask(engine)
            stuck = await beats(engine)
            assert stuck.round == idle.round
        (done,) = await answered(engine, held)
        assert (done.received, done.given_back) == (3, 0)


async def test_a_session_that_is_stuck_on_one_message_beats_and_does_not_answer_though_others_pass(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53200'; END$$"
            )
        )
        await connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON reading"
                " FOR EACH ROW WHEN (NEW.value = 666) EXECUTE FUNCTION refuse()"
            )
        )
    async with running_ingest(database, vhost):
        await send(vhost, building, 1, 666, 3, 4)
        await stored(engine, 3)
        held = await ask(engine)
        assert (await beats(engine)).round == 0
        async with engine.begin() as connection:
            await connection.execute(text("DROP TRIGGER refuse ON reading"))
        (done,) = await answered(engine, held)
        assert done.received == 4


async def test_each_process_answers_for_what_it_had(engine: AsyncEngine, database: Database, vhost: Vhost) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost), running_ingest(database, vhost):
        await answered(engine, await ask(engine), by=2)
        await send(vhost, building, *range(10))
        await stored(engine, 10)
        both = await answered(engine, await ask(engine), by=2)
        assert sum(row.received for row in both) == 10


async def test_a_session_that_ends_in_order_takes_its_row_away_and_one_of_which_messages_are_left_does_not(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with ingest(database.ingest_url, vhost):
        await send(vhost, building, 1)
        await stored(engine, 1)
        assert len(await sessions(engine)) == 1
    assert await sessions(engine) == []
    async with nothing_can_be_written(engine):
        async with ingest(database.ingest_url, vhost):
            await send(vhost, building, 1, 2)
            await eventually(lambda: is_empty(vhost))
        assert len(await sessions(engine)) == 1


async def test_a_session_tells_whenever_the_broker_may_have_counted_no_consumer_of_it(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with ingest(database.ingest_url, vhost) as client:
        await eventually(lambda: ready(client))
        assert (await beats(engine, 1)).consumer == 1
        # With small messages it asks for more, and more are taken than at first: by another consumer.
        async with nothing_can_be_written(engine):
            await send(vhost, building, *range(30))
            await eventually(lambda: is_empty(vhost))
            assert (await beats(engine)).consumer == 1
        await stored(engine, 30)

    async def after_one_more_by_itself() -> bool:
        await send(vhost, building, 0)
        return any(row.consumer is not None and row.consumer > 1 for row in await sessions(engine))

    async with ingest(database.ingest_url, vhost):
        await eventually(after_one_more_by_itself)


async def test_messages_that_are_given_back_and_such_with_a_priority_are_counted(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.session.RETRY_S", 0.1)
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        async with open_channel(vhost.url) as channel:
            exchange = await channel.get_exchange(topology.GATEWAYS)
            key = topology.gateway_readings_key(building.gateway_id)
            await exchange.publish(aio_pika.Message(b'{"readings": []}', priority=5), key, timeout=10)
            (overtaken,) = await answered(engine, await ask(engine))
            assert (overtaken.received, overtaken.given_back, overtaken.prioritised) == (1, 0, 1)
            await channel.queue_delete(topology.DEAD_LETTERS)
            await publish_as_gateway(vhost.url, building.gateway_id, b"no message")

            async def given_back() -> bool:
                row = await beats(engine, 1)
                return bool(row.given_back > 1)

            await eventually(given_back)
            await topology.declare(channel, [topology.DEAD_LETTERS_QUEUE])
        (done,) = await answered(engine, await ask(engine))
        # The message came again after each time.
        assert done.received == done.given_back + 2
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 1


async def test_a_frozen_database_stops_no_consumption_and_the_rounds_are_answered_when_it_is_back(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with (
        TcpProxy(database.ingest_url).open() as proxy,
        ingest(with_driver(proxy.url), vhost) as client,
    ):
        await eventually(lambda: ready(client))
        proxy.freeze()
        held = await ask(engine)
        await send(vhost, building, 1, 2)
        await eventually(lambda: is_empty(vhost))
        assert [row.round for row in await sessions(engine)] == [0]
        proxy.thaw()
        await answered(engine, held)
        await stored(engine, 2)
        (done,) = await answered(engine, await ask(engine))
        assert done.received == 2


async def test_after_a_database_that_was_away_the_same_session_beats_and_answers(
    engine: AsyncEngine, database: Database, vhost: Vhost, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        TcpProxy(database.ingest_url).open() as proxy,
        ingest(with_driver(proxy.url), vhost) as client,
    ):
        await eventually(lambda: ready(client))
        (before,) = await answered(engine, await ask(engine))
        await proxy.cut()
        await said("rounds_not_attended", capsys)
        await proxy.restore()
        (after,) = await answered(engine, await ask(engine))
        assert after.id == before.id


async def test_nothing_is_consumed_before_the_database_knows_of_the_session(
    engine: AsyncEngine, database: Database, vhost: Vhost, capsys: pytest.CaptureFixture[str]
) -> None:
    building = await create_building(engine, meters=1)
    async with TcpProxy(database.ingest_url).open() as proxy:
        await proxy.cut()
        async with ingest(with_driver(proxy.url), vhost) as client:
            await send(vhost, building, 1)
            await said("consumption_waits_for_the_database", capsys)
            assert not await is_empty(vhost)
            await proxy.restore()
            await stored(engine, 1)
            await eventually(lambda: ready(client))
            (done,) = await answered(engine, await ask(engine))
            assert done.received == 1
