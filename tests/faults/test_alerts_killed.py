"""Alerts is killed with -9 at every step of transitions, and as one of four: one alert and one event id for each."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.messages.alert_events import AlertEventType
from tests.faults.transitions import PUBLISH, TRANSITIONS, Step, Transition
from tests.services.alerts.standing import change, rows
from tests.support.databases import Database
from tests.support.ingest_session import idle_session
from tests.support.messages import Subscriber, eventually
from tests.support.registry import create_building
from tests.support.tcp_proxy import TcpProxy
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost
from tests.support.wire import AmqpWire, Moment, PostgresWire

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
MANY_METERS = 1_000


@asynccontextmanager
async def alerts_process(database: str, broker: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Alerts, judging at once; killed at the end."""
    settings = {"DATABASE_URL": database, "BROKER_URL": broker, "PORT": "0", "SETTLE_S": "0"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MBUS_")}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "services.alerts"),
            cwd=ROOT,
            env=environment
            | {f"MBUS_ALERTS_{name}": value for name, value in settings.items()}
            | {"MBUS_JWT_SECRET": SECRET},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(SIGKILL)
        await process.wait()


def kill_when_seen(
    process: asyncio.subprocess.Process, step: Step, ways: list[TcpProxy], killed: asyncio.Event
) -> None:
    """Kill it when all of `step` has come by, whose last is not passed on, and set `killed`; not where that is set."""
    left = list(step)

    def trap(moment: Moment | None, message: bytes) -> bool:
        if left and not killed.is_set():
            seen = left[0] in message if isinstance(left[0], bytes) else left[0] is moment
            if seen:
                left.pop(0)
            if not left:
                process.send_signal(SIGKILL)
                killed.set()
        return not left

    for way in ways:
        way.trap = trap


async def run_and_kill(step: Step, database: Database, vhost: Vhost, log: Path) -> None:
    """Let alerts work until it comes to `step`."""
    to_database = TcpProxy(f"{database.alerts_url}?sslmode=disable", PostgresWire)
    to_broker = TcpProxy(vhost.alerts_url, AmqpWire)
    async with to_database.open(), to_broker.open(), alerts_process(to_database.url, to_broker.url, log) as process:
        killed = asyncio.Event()
        kill_when_seen(process, step, [to_database, to_broker], killed)
        with suppress(TimeoutError):
            await asyncio.wait_for(killed.wait(), 60)
        assert killed.is_set(), f"it never came to {step}"
        assert await process.wait() == -SIGKILL


@pytest.mark.timeout(300)
@pytest.mark.parametrize("transition", TRANSITIONS.values(), ids=TRANSITIONS)
async def test_killed_at_each_step(
    transition: Transition, engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path
) -> None:
    """Each process goes on from what the one before has left, and comes a step further."""
    log = tmp_path / "alerts.log"
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber, idle_session(database):
        await transition.arrange(engine, vhost)
        for step in transition.steps.values():
            await run_and_kill(step, database, vhost, log)
            # As if the time had passed for which nobody else takes what it has claimed.
            await change(engine, "UPDATE delivery SET next_attempt_at = now() WHERE delivered_at IS NULL")

        async def all_is_done() -> bool:
            waiting = "SELECT id FROM delivery WHERE delivered_at IS NULL"
            return await rows(engine, transition.standing) == [transition.stands] and not await rows(engine, waiting)

        async with alerts_process(database.alerts_url, vhost.alerts_url, log):
            with suppress(TimeoutError):
                await eventually(all_is_done, timeout_s=60)
        assert await rows(engine, transition.standing) == [transition.stands]
        await each_is_told_under_one_id(engine, subscriber, transition.number, transition.event)


@pytest.mark.timeout(240)
async def test_four_replicas_of_which_one_is_killed_with_events_in_hand(
    engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path
) -> None:
    """All fall due at once: until there is an ingest, nothing is judged."""
    await create_building(engine, meters=MANY_METERS)
    killed = asyncio.Event()
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber, AsyncExitStack() as stack:
        replicas = []
        for number in range(4):
            to_broker = await stack.enter_async_context(TcpProxy(vhost.alerts_url, AmqpWire).open())
            log = tmp_path / f"alerts-{number}.log"
            replicas.append(await stack.enter_async_context(alerts_process(database.alerts_url, to_broker.url, log)))
            kill_when_seen(replicas[-1], [PUBLISH], [to_broker], killed)
            await eventually(partial(listens, log), timeout_s=60)
        await stack.enter_async_context(idle_session(database))
        await asyncio.wait_for(killed.wait(), 60)
        await eventually(lambda: is_told(engine, at_least=MANY_METERS), timeout_s=90)
        await each_is_told_under_one_id(engine, subscriber, MANY_METERS, AlertEventType.INSTALLATION_STALE)
        assert sorted(str(one.returncode) for one in replicas) == [str(-SIGKILL), "None", "None", "None"]


async def each_is_told_under_one_id(
    engine: AsyncEngine, subscriber: Subscriber, number: int, event: AlertEventType
) -> None:
    """One alert and one such event for each, no other alert, and whatever came twice came under the same id."""
    written = await rows(
        engine,
        "SELECT coalesce(a.installation_id::text, a.gateway_id), d.id::text"
        " FROM alert a LEFT JOIN delivery d ON d.alert_id = a.id AND d.event_type = :event",
        event=event.value,
    )
    assert len({subject for subject, _ in written}) == len(written) == number
    told: set[str | None] = set()
    while subscriber.waiting or len(told) < number:
        told.add((await subscriber.next()).message_id)
    assert told == {event_id for _, event_id in written}


async def is_told(engine: AsyncEngine, *, at_least: int) -> bool:
    """Whether so many events were published and marked."""
    async with engine.connect() as connection:
        count = await connection.scalar(text("SELECT count(*) FROM delivery WHERE delivered_at IS NOT NULL"))
        return bool(count >= at_least)


async def listens(log: Path) -> bool:
    """Whether the service says that it does."""
    return b"http.listening" in await asyncio.to_thread(log.read_bytes)
