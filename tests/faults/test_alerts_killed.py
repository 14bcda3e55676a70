"""Alerts is killed with -9 at every step of a transition, and as one of four: one alert and one event id for each."""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Database
from tests.support.ingest_session import idle_session
from tests.support.messages import Subscriber, eventually
from tests.support.registry import create_building
from tests.support.tcp_proxy import TcpProxy
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost
from tests.support.wire import BASIC_PUBLISH, AmqpWire, Moment, PostgresWire

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
METERS = 5
MANY_METERS = 1_000
PUBLISH = struct.pack(">HHH", *BASIC_PUBLISH, 0) + b"\x06alerts"
"""The beginning of a frame that publishes on the exchange `alerts`."""

# What is seen on the way, one after the other; at the last it is killed, and that is not passed on.
STEPS = {
    "before the alert is written": [b"INSERT INTO alert"],
    "before the state is written": [b"UPDATE installation_status AS status"],
    "before the event is written": [b"INSERT INTO delivery"],
    "before the commit": [b"INSERT INTO delivery", b"COMMIT;"],
    "when it has committed": [b"INSERT INTO delivery", b"COMMIT;", b"COMMIT\x00"],
    "before the event is claimed": [b"UPDATE delivery SET next_attempt_at"],
    "before it is published": [PUBLISH],
    "when it is published": [Moment.AFTER_PUBLISH],
    "before it is marked": [b"UPDATE delivery SET delivered_at"],
    "when it is marked": [b"UPDATE delivery SET delivered_at", b"COMMIT\x00"],
}


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
    process: asyncio.subprocess.Process, steps: list[bytes | Moment], ways: list[TcpProxy], killed: asyncio.Event
) -> None:
    """Kill it when all of `steps` have come by, one after the other, and set `killed`; not where that is set before."""
    left = list(steps)

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


@pytest.mark.timeout(180)
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
async def test_killed(
    steps: list[bytes | Moment], engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path
) -> None:
    log = tmp_path / "alerts.log"
    to_database = TcpProxy(f"{database.alerts_url}?sslmode=disable", PostgresWire)
    to_broker = TcpProxy(vhost.alerts_url, AmqpWire)
    async with Subscriber.on_alerts(vhost.url, "#") as subscriber, idle_session(database):
        await create_building(engine, meters=METERS)
        async with (
            to_database.open(),
            to_broker.open(),
            alerts_process(to_database.url, to_broker.url, log) as process,
        ):
            killed = asyncio.Event()
            kill_when_seen(process, steps, [to_database, to_broker], killed)
            await asyncio.wait_for(killed.wait(), 60)
            assert await process.wait() == -SIGKILL
        async with alerts_process(database.alerts_url, vhost.alerts_url, log):
            await eventually(lambda: is_told(engine, at_least=METERS), timeout_s=60)
        await each_is_told_under_one_id(engine, subscriber, METERS)


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
        await each_is_told_under_one_id(engine, subscriber, MANY_METERS)
        assert sorted(str(one.returncode) for one in replicas) == [str(-SIGKILL), "None", "None", "None"]


async def each_is_told_under_one_id(engine: AsyncEngine, subscriber: Subscriber, meters: int) -> None:
    """One alert and one event for each, and whatever came twice came under the same id."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT a.installation_id, d.id FROM alert a LEFT JOIN delivery d ON d.alert_id = a.id")
        )
        written = [(str(row.installation_id), str(row.id)) for row in rows]
    assert len({installation for installation, _ in written}) == len(written) == meters
    told: set[str | None] = set()
    while subscriber.waiting or len(told) < meters:
        told.add((await subscriber.next()).message_id)
    assert told == {event for _, event in written}


async def is_told(engine: AsyncEngine, *, at_least: int) -> bool:
    """Whether so many events were published and marked."""
    async with engine.connect() as connection:
        count = await connection.scalar(text("SELECT count(*) FROM delivery WHERE delivered_at IS NOT NULL"))
        return bool(count >= at_least)


async def listens(log: Path) -> bool:
    """Whether the service says that it does."""
    return b"http.listening" in await asyncio.to_thread(log.read_bytes)
