"""Judgement when the broker restarts, and when a leader is frozen: held and told once, and nobody cries wolf."""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.processes import Ingest
from tests.faults.test_alerts_killed import alerts_process
from tests.flows.test_never_cries_wolf import (
    DEAD,
    PATIENCE_S,
    fresh,
    in_the_hands_of_ingest,
    nothing_can_be_stored,
    pipeline,
    stored,
)
from tests.support.databases import Database
from tests.support.ingest_session import idle_session
from tests.support.messages import eventually
from tests.support.own_servers import OwnBroker
from tests.support.registry import create_building
from tests.support.services import running_alerts
from tests.support.vhosts import Vhost

pytestmark = pytest.mark.faults

SETTLE_S = 5

# Who writes, and in which order.
NOTED = """
    CREATE TABLE written (place serial, backend int);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$BEGIN INSERT INTO written (backend) VALUES (pg_backend_pid()); RETURN NULL; END$$;
    CREATE TRIGGER note AFTER UPDATE ON pipeline FOR EACH ROW EXECUTE FUNCTION note()
"""

BACKENDS = """
    SELECT pid FROM pg_stat_activity WHERE application_name = 'mbus-alerts' AND datname = current_database()
"""


async def becomes(engine: AsyncEngine, condition: str) -> None:
    """Wait until it is true of the pipeline."""

    async def is_so() -> bool:
        return bool(await one(engine, f"SELECT {condition} FROM pipeline"))

    await eventually(is_so, timeout_s=PATIENCE_S)


async def one(engine: AsyncEngine, query: str) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(text(query))


async def told(engine: AsyncEngine) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return list(await connection.scalars(text("SELECT event FROM delivery ORDER BY position")))


def at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


async def test_the_broker_restarts_while_messages_are_in_the_hands_of_ingest(
    own_broker: OwnBroker, engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path
) -> None:
    building = await create_building(engine, meters=5, installed_at=datetime.now(UTC) - timedelta(days=3))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE gateway SET silent_after = '10 days'"))
    async with (
        Ingest.open(database, vhost, log=tmp_path / "ingest.log", stamped=False, settings={}) as ingest,
        AsyncExitStack() as held_up,
    ):
        await ingest.start()
        await held_up.enter_async_context(nothing_can_be_stored(engine))
        await in_the_hands_of_ingest(engine, vhost, building)
        async with running_alerts(database, vhost, ingest=False, settle_s=SETTLE_S):
            await becomes(engine, "looked_at IS NOT NULL")
            await asyncio.to_thread(own_broker.stop)
            await becomes(engine, "cause = 'broker'")
            await asyncio.to_thread(own_broker.start)
            await becomes(engine, "healthy_since IS NOT NULL")
            assert (await pipeline(engine)).judged_until is None
            await held_up.aclose()
            await becomes(engine, "reason IS NULL")

            async def the_dead_one_is_told() -> bool:
                return "installation.stale" in [event["type"] for event in await told(engine)]

            await eventually(the_dead_one_is_told, timeout_s=PATIENCE_S)
    degraded, recovered, stale = await told(engine)
    assert (degraded["type"], degraded["data"]["cause"]) == ("pipeline.degraded", "broker")
    assert (recovered["type"], recovered["data"]) == ("pipeline.recovered", degraded["data"])
    assert at(recovered) - at(degraded) >= timedelta(seconds=SETTLE_S)
    assert stale["data"]["meter_serial"] == DEAD
    assert await stored(engine) == len(fresh(building))


async def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes(
    engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path
) -> None:
    async with engine.begin() as connection:
        for statement in NOTED.split(";\n"):
            await connection.execute(text(statement))
    async with (
        idle_session(database),
        alerts_process(database.alerts_url, vhost.alerts_url, tmp_path / "alerts.log") as frozen,
    ):
        await becomes(engine, "judged_until IS NOT NULL")
        async with engine.connect() as connection:
            backends = set(await connection.scalars(text(BACKENDS)))
        assert await one(engine, "SELECT backend FROM written ORDER BY place DESC LIMIT 1") in backends
        os.kill(frozen.pid, SIGSTOP)
        # So long ago that it counts as an absence.
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE pipeline SET looked_at = now() - interval '20 s'"))
        before = await one(engine, "SELECT max(place) FROM written")
        async with running_alerts(database, vhost, ingest=False):
            await becomes(engine, "reason IS NOT NULL")
            await becomes(engine, "reason IS NULL")
            os.kill(frozen.pid, SIGCONT)
            awake = await pipeline(engine)
            await becomes(engine, f"round > {awake.round + 5}")
            listed = ", ".join(map(str, backends))
            asked_at = await one(engine, f"SELECT max(query_start) FROM pg_stat_activity WHERE pid IN ({listed})")
            assert asked_at > awake.now
            async with engine.connect() as connection:
                writers = await connection.scalars(text(f"SELECT backend FROM written WHERE place > {before}"))
                assert backends & set(writers) == set()
    assert [event["type"] for event in await told(engine)] == ["pipeline.degraded", "pipeline.recovered"]
