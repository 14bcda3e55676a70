"""Who leads the rounds, and what holds judgement: with a real database and broker, and a stand-in for ingest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts import rounds
from services.alerts.operations.pipeline import remove_sessions
from services.alerts.rules import leading
from shared import topology
from shared.clock import utc_now
from tests.support.databases import Database
from tests.support.ingest_session import idle_session
from tests.support.messages import eventually, open_channel
from tests.support.services import running_alerts, running_ingest
from tests.support.vhosts import Vhost

PATIENCE_S = 60


async def pipeline(engine: AsyncEngine) -> Row[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT *, clock_timestamp() AS now FROM pipeline"))).one()


async def becomes(engine: AsyncEngine, condition: str) -> None:
    """Wait until it is true of the pipeline."""

    async def is_so() -> bool:
        async with engine.connect() as connection:
            return bool((await connection.execute(text(f"SELECT {condition} FROM pipeline"))).scalar_one())

    await eventually(is_so, timeout_s=PATIENCE_S)


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def told(engine: AsyncEngine) -> list[dict[str, Any]]:
    """The events, in their order."""
    async with engine.connect() as connection:
        return list(await connection.scalars(text("SELECT event FROM delivery ORDER BY position")))


async def test_a_statement_that_fails_once_holds_nothing_and_one_that_fails_again_does(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    await execute(
        engine,
        "CREATE SEQUENCE writes",
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$BEGIN IF nextval('writes') IN (8, 20, 21) THEN RAISE EXCEPTION 'too late' USING ERRCODE = '57014'; END IF;"
        " RETURN NEW; END$$",
        "CREATE TRIGGER fail BEFORE UPDATE ON pipeline FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    async with running_alerts(database, vhost):
        await becomes(engine, "(SELECT last_value FROM writes) >= 24 AND reason IS NULL")
    assert [event["type"] for event in await told(engine)] == ["pipeline.degraded", "pipeline.recovered"]


async def test_leaders_that_come_and_go_do_not_hide_that_nothing_is_proven(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    await execute(
        engine,
        "UPDATE pipeline SET looked_at = now() - interval '6 s', judged_until = now() - interval '31 s',"
        " healthy_since = now() - interval '1 h'",
    )
    async with running_alerts(database, vhost, ingest=False):
        await becomes(engine, "looked_at > now() - interval '5 s'")
        assert "not known to be stored" in (await pipeline(engine)).reason


async def test_what_is_told_of_the_end_is_what_was_told_of_the_beginning(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    await execute(
        engine,
        "UPDATE pipeline SET looked_at = now(), resigned = true, cause = 'behind', reason = 'the last trouble',"
        " degraded_since = now(), degraded_cause = 'broker', degraded_reason = 'the first trouble'",
    )
    since = (await pipeline(engine)).degraded_since
    async with running_alerts(database, vhost):
        await becomes(engine, "reason IS NULL")
    (recovered,) = await told(engine)
    assert recovered["type"] == "pipeline.recovered"
    assert (recovered["data"]["cause"], recovered["data"]["reason"]) == ("broker", "the first trouble")
    assert datetime.fromisoformat(recovered["data"]["since"]) == since
    after = await pipeline(engine)
    assert (after.cause, after.degraded_since, after.degraded_cause, after.degraded_reason) == (None,) * 4


async def test_where_the_leaders_clock_is_wrong_another_replica_leads(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    ahead = timedelta(0)
    async with running_alerts(database, vhost, clock=lambda: utc_now() + ahead):
        await becomes(engine, "judged_until IS NOT NULL")
        async with running_alerts(database, vhost):
            ahead = timedelta(hours=1)
            await becomes(engine, "cause = 'clock'")
            await becomes(engine, "reason IS NULL")
            judged = await pipeline(engine)
            await becomes(engine, f"round > {judged.round + 5} AND judged_until > looked_at - interval '5 s'")
    assert [event["type"] for event in await told(engine)] == ["pipeline.degraded", "pipeline.recovered"]


async def test_a_replica_whose_clock_is_wrong_leads_only_to_say_so_and_goes_on_when_it_is_right(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "TAKE_OVER_ANYWAY_AFTER", timedelta(seconds=2))
    ahead = timedelta(hours=1)
    async with running_alerts(database, vhost, clock=lambda: utc_now() + ahead):
        await becomes(engine, "cause = 'clock'")
        first = await pipeline(engine)
        assert first.resigned
        await becomes(engine, f"looked_at > '{first.looked_at}'::timestamptz + interval '4 s'")
        assert (await pipeline(engine)).cause == "clock"
        ahead = timedelta(0)
        await becomes(engine, "reason IS NULL")
    assert [event["type"] for event in await told(engine)] == ["pipeline.degraded", "pipeline.recovered"]


async def test_a_clock_of_the_database_that_was_set_back_keeps_nobody_from_leading(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    await execute(engine, "UPDATE pipeline SET looked_at = now() + interval '1 h', judged_until = now()")
    async with running_alerts(database, vhost):
        await becomes(engine, "reason IS NULL AND looked_at <= now() AND judged_until <= now()")
    degraded, _ = await told(engine)
    assert "the database's clock was set back" in degraded["data"]["reason"]


async def test_from_a_leader_that_ends_in_order_another_takes_over_at_once(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as first:
        await first.enter_async_context(running_alerts(database, vhost))
        await becomes(engine, "judged_until IS NOT NULL")
        async with running_alerts(database, vhost):
            monkeypatch.setattr(leading, "TAKE_OVER_AFTER", timedelta(hours=1))
            await first.aclose()
            ended = await pipeline(engine)
            await becomes(engine, f"looked_at > '{ended.now}' AND NOT resigned")


async def test_who_leads_no_longer_removes_no_session(engine: AsyncEngine, database: Database) -> None:
    async with idle_session(database):
        async with engine.connect() as connection:
            sessions = list(await connection.scalars(text("SELECT id FROM ingest_session")))
        await execute(engine, "UPDATE pipeline SET round = 7")
        for round_, left in ((6, 1), (7, 0)):
            await remove_sessions(engine, sessions, round_)
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT count(*) FROM ingest_session")) == left


@asynccontextmanager
async def a_stranger(vhost: Vhost) -> AsyncIterator[None]:
    """Somebody else consumes what is for ingest."""
    async with open_channel(vhost.url) as channel:
        queue = await channel.get_queue(topology.INGEST_READINGS)
        await queue.consume(asyncio.Queue[AbstractIncomingMessage]().put)
        yield


@pytest.mark.parametrize("consumes", [True, False])
async def test_a_stranger_who_consumes_holds_judgement_also_beside_a_session_that_does_not(
    consumes: bool, engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "BEHIND_AFTER", timedelta(seconds=3))
    ingest = running_ingest(database, vhost) if consumes else idle_session(database)
    async with ingest, running_alerts(database, vhost, ingest=False):
        await becomes(engine, "judged_until IS NOT NULL")
        async with a_stranger(vhost):
            await becomes(engine, "cause = 'behind'")
        await becomes(engine, "reason IS NULL")
    degraded, recovered = await told(engine)
    known = "2 consumers on ingest's queue, of which 1" if consumes else "1 consumer on ingest's queue, of which 0"
    assert degraded["data"]["reason"].endswith(f"{known} known as ingest's")
    assert recovered["data"] == degraded["data"]
