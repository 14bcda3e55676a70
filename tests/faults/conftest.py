"""Ingest as processes of their own, reached through proxies, and the books of every reading that is sent to them."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker_connection import HEARTBEAT_S
from tests.faults.books import Books
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet, create_fleet
from tests.support.databases import Database
from tests.support.messages import writes_stamps
from tests.support.own_servers import OwnBroker, OwnServer
from tests.support.servers import Servers
from tests.support.vhosts import Vhost


class MakeIngest(Protocol):
    """Makes one more ingest, which is not started yet; settings are those of its environment, in small letters."""

    async def __call__(self, *, heartbeat_s: int = ..., **settings: object) -> Ingest: ...


@pytest.fixture
def chance(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> random.Random:
    """What the test draws from: the same each time for the same seed, which is told."""
    seed: int = pytestconfig.getoption("seed")
    with capsys.disabled():
        print(f"\n{request.node.name}  --seed {seed} ", end="")  # noqa: T201 - for whoever repeats it
    return random.Random(seed)


@pytest.fixture
async def fleet(engine: AsyncEngine, chance: random.Random) -> Fleet:
    """A gateway and its meters, in this test's database."""
    return await create_fleet(engine, chance)


@pytest.fixture(scope="session")
async def stamped(session_vhost: Vhost) -> bool:
    """Whether the broker writes into each message when it accepted it."""
    return await writes_stamps(session_vhost.url)


@pytest.fixture
def own_broker(servers: Servers) -> OwnBroker:
    """The broker, which may be stopped."""
    if servers.own_broker is None:
        pytest.skip(
            "this broker is somebody else's: MBUS_TEST_SERVERS=embedded or containers gives one that may be stopped"
        )
    return servers.own_broker


@pytest.fixture
def own_database(servers: Servers) -> OwnServer:
    """The database server, which may be stopped."""
    if servers.own_database is None:
        pytest.skip(
            "this server is somebody else's: MBUS_TEST_SERVERS=embedded or containers gives one that may be stopped"
        )
    return servers.own_database


@pytest.fixture
async def make_ingest(database: Database, vhost: Vhost, stamped: bool, tmp_path: Path) -> AsyncIterator[MakeIngest]:
    """Makes ingests, which end with the test."""
    async with AsyncExitStack() as open_:
        made: list[Ingest] = []

        async def make(*, heartbeat_s: int = HEARTBEAT_S, **settings: object) -> Ingest:
            log = tmp_path / f"ingest-{len(made)}.log"
            ingest = Ingest.open(database, vhost, log=log, stamped=stamped, heartbeat_s=heartbeat_s, settings=settings)
            made.append(await open_.enter_async_context(ingest))
            return made[-1]

        yield make


@pytest.fixture
async def ingest(make_ingest: MakeIngest) -> Ingest:
    """One ingest, not started yet."""
    return await make_ingest()


@pytest.fixture
async def books(engine: AsyncEngine, vhost: Vhost, stamped: bool) -> AsyncIterator[Books]:
    """What is sent, from now on."""
    async with Books.open(engine, vhost, stamped=stamped) as books:
        yield books
