"""Real servers for every test: one PostgreSQL and one RabbitMQ a session, a database a test, a vhost a session."""

import secrets
import signal
from collections.abc import AsyncIterator, Iterator

import aio_pika
import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.stack.errors import StackError
from shared import topology
from shared.database import open_engine
from tests.support.databases import Database, create_database, drop_database, make_template, migrated_database
from tests.support.mqtt import Mqtt, NoMqttError, spoken_versions
from tests.support.servers import Servers, ServersError, running_servers
from tests.support.vhosts import Vhost, prepared_vhost

USED = pytest.StashKey[Servers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run be repeated, and one be made longer."""
    parser.addoption("--seed", type=int, default=secrets.randbelow(2**32), help="what tests/faults draw from")
    parser.addoption("--examples", type=int, help="how many requests Schemathesis makes for each operation of the API")


def pytest_configure() -> None:
    """Hear Ctrl-C: a shell starts what is to run in the background deaf to it, and what a test starts would be too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[Servers]:
    """The servers of `MBUS_TEST_DATABASE_URL` and `MBUS_TEST_BROKER_URL`, else containers, else embedded ones."""
    try:
        with running_servers() as found:
            pytestconfig.stash[USED] = found
            yield found
    except (ServersError, StackError) as error:
        pytest.exit(f"no servers to test with: {error}", returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell on which servers the tests ran."""
    if USED in config.stash:
        terminalreporter.write_line(f"servers: {config.stash[USED].origin}")


@pytest.fixture(scope="session")
def session_id() -> str:
    return secrets.token_hex(4)


@pytest.fixture(scope="session")
async def template(servers: Servers, session_id: str) -> AsyncIterator[Database]:
    """A migrated database that nobody connects to: each test's database is a copy of it."""
    async with migrated_database(servers.database_url, session_id) as database:
        await make_template(servers.database_url, database.name)
        yield database


@pytest.fixture
async def database(servers: Servers, template: Database) -> AsyncIterator[Database]:
    """A migrated, empty database of this test's own."""
    copy = Database(servers.database_url, f"{template.name}_{secrets.token_hex(4)}", template.logins)
    await create_database(servers.database_url, copy.name, template=template.name)
    yield copy
    await drop_database(servers.database_url, copy.name)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """The owner's engine on this test's database."""
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        yield engine


@pytest.fixture(scope="session")
async def session_vhost(servers: Servers, session_id: str) -> AsyncIterator[Vhost]:
    async with prepared_vhost(servers, session_id) as vhost:
        yield vhost


@pytest.fixture(scope="session")
async def mqtt_versions(servers: Servers, session_vhost: Vhost) -> dict[str, MQTTProtocolVersion]:
    """The versions of MQTT that the broker speaks, if it puts topics onto the exchange of the gateways.

    A broker that was passed in need not: without it these tests are skipped.
    """
    try:
        return await spoken_versions(servers.mqtt_url, session_vhost)
    except NoMqttError as error:
        if servers.own_broker is None:
            pytest.skip(f"MBUS_TEST_MQTT_URL: {error}")
        raise


@pytest.fixture(params=["3.1.1", "5"])
async def mqtt(request: pytest.FixtureRequest, mqtt_versions: dict[str, MQTTProtocolVersion], vhost: Vhost) -> Mqtt:
    """The broker's MQTT, once for each version of it."""
    if request.param not in mqtt_versions:
        pytest.skip(f"this RabbitMQ speaks no MQTT {request.param}")
    return Mqtt(vhost.mqtt_url, vhost.name, mqtt_versions[request.param])


@pytest.fixture
async def vhost(session_vhost: Vhost) -> Vhost:
    """The session's vhost with the topology of `mbus migrate` and empty queues."""
    connection = await aio_pika.connect(session_vhost.url)
    async with connection, connection.channel() as channel:
        await topology.declare(channel, exchanges=topology.EXCHANGES)
        for queue in topology.QUEUES:
            await (await channel.get_queue(queue.name)).purge()
    return session_vhost
