"""The PostgreSQL and RabbitMQ servers that the tests run against: yours, else containers, else embedded ones."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from signal import SIGTERM, signal
from types import FrameType

from cli.stack.own_servers import management_beside, mqtt_beside
from tests.support.containers import (
    BrokerContainer,
    DatabaseContainer,
    broker_container,
    database_container,
    why_no_containers,
)
from tests.support.embedded import RunningPostgres, RunningRabbit, embedded_broker, embedded_database
from tests.support.own_servers import OwnBroker, OwnServer


@dataclass(frozen=True)
class Servers:
    """Administrators' URLs of the servers; tests touch only databases and vhosts that they made.

    `origin` says in words where the servers come from. Those that the tests started they may stop, too: these are
    `own_database` and `own_broker`.
    """

    database_url: str
    broker_url: str
    management_url: str
    mqtt_url: str
    origin: str
    own_database: OwnServer | None = None
    own_broker: OwnBroker | None = None


class ServersError(Exception):
    """The environment asks for servers that cannot be had; the text is one line."""


@contextmanager
def running_servers(env: Mapping[str, str] = os.environ) -> Iterator[Servers]:
    """Servers for the tests, running until the block ends; each of the two is decided on by itself.

    `MBUS_TEST_SERVERS=embedded` or `containers` passes over all other ways.
    """
    with ExitStack() as running:
        running.callback(signal, SIGTERM, signal(SIGTERM, _as_if_interrupted))
        database_way, broker_way, why = _decide(env)
        own_database: DatabaseContainer | RunningPostgres | None = None
        own_broker: BrokerContainer | RunningRabbit | None = None
        match database_way:
            case "yours":
                database_url = env["MBUS_TEST_DATABASE_URL"]
            case "containers":
                own_database = running.enter_context(database_container())
                database_url = own_database.url
            case _:
                own_database = running.enter_context(embedded_database())
                database_url = own_database.url
        match broker_way:
            case "yours":
                urls = _your_broker(env)
            case "containers":
                own_broker = running.enter_context(broker_container())
                urls = own_broker.url, own_broker.management_url, own_broker.mqtt_url
            case _:
                own_broker = running.enter_context(embedded_broker())
                urls = own_broker.url, own_broker.management_url, own_broker.mqtt_url
        origin = f"PostgreSQL: {database_way}, RabbitMQ: {broker_way}{why}"
        yield Servers(database_url, *urls, origin, own_database, own_broker)


def _your_broker(env: Mapping[str, str]) -> tuple[str, str, str]:
    """Where a broker that was passed in is reached: over AMQP, for management, over MQTT."""
    broker_url = env["MBUS_TEST_BROKER_URL"]
    return (
        broker_url,
        env.get("MBUS_TEST_BROKER_MANAGEMENT_URL") or management_beside(broker_url),
        env.get("MBUS_TEST_MQTT_URL") or mqtt_beside(broker_url),
    )


def _decide(env: Mapping[str, str]) -> tuple[str, str, str]:
    """The way to a database and to a broker (`yours`, `containers` or `embedded`), and why no containers, in words."""
    forced = env.get("MBUS_TEST_SERVERS", "")
    if forced not in ("", "containers", "embedded"):
        raise ServersError(f"MBUS_TEST_SERVERS is {forced!r}: it must be containers or embedded, or not set")
    has = [not forced and bool(env.get(f"MBUS_TEST_{server}_URL")) for server in ("DATABASE", "BROKER")]
    why = "" if forced == "embedded" or all(has) else why_no_containers() or ""
    if why and forced:
        raise ServersError(f"MBUS_TEST_SERVERS is {forced}, but {why}")
    other = forced or ("embedded" if why else "containers")
    database, broker = ("yours" if own else other for own in has)
    return database, broker, f" ({why})" if why else ""


def _as_if_interrupted(_: int, __: FrameType | None) -> None:
    """Let a killed run stop its servers as an interrupted one does."""
    raise KeyboardInterrupt
