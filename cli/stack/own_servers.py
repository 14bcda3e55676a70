"""Servers of the person who runs this: what the URLs that name them leave open, and whether they can be used."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aio_pika
from sqlalchemy import text

from cli.errors import one_line
from cli.stack.errors import StackError
from cli.stack.state import Servers
from shared.broker_admin import BrokerAdmin, vhost_of
from shared.database import open_engine

TIMEOUT_S = 15
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def management_beside(broker_url: str) -> str:
    """The management API where it usually is: on the broker's host, with the same name and password."""
    parts = urlsplit(broker_url)
    login = parts.netloc.rpartition("@")[0] or "guest:guest"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    scheme, port = ("https", 15671) if parts.scheme == "amqps" else ("http", 15672)
    return f"{scheme}://{login}@{host}:{port}"


def mqtt_beside(broker_url: str) -> str:
    """MQTT where it usually is: on the broker's host."""
    parts = urlsplit(broker_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    scheme = "mqtts" if parts.scheme == "amqps" else "mqtt"
    return f"{scheme}://{host}:{MQTT_PORTS[scheme]}"


def check_own_servers(servers: Servers) -> None:
    """Return when the servers that are named let us in; `StackError` says which variable is at fault."""

    async def run() -> None:
        if servers.database_url is not None:
            await _try("MBUS_UP_DATABASE_URL", _database, servers.database_url)
        if servers.broker_url is not None and servers.management_url is not None:
            # First: a virtual host that is missing is not told by AMQP itself.
            await _try("MBUS_BROKER_MANAGEMENT_URL", _management(servers.broker_url), servers.management_url)
            await _try("MBUS_UP_BROKER_URL", _broker, servers.broker_url)
        if servers.mqtt_url is not None:
            await _try("MBUS_MQTT_URL", _mqtt, servers.mqtt_url)

    asyncio.run(run())


async def _try(variable: str, use: Callable[[str], Awaitable[None]], url: str) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await use(url)
    except Exception as error:
        port = urlsplit(url).port
        where = f"{urlsplit(url).hostname}{f':{port}' if port else ''}"
        raise StackError(f"the server of {variable} ({where}) cannot be used: {one_line(error)}") from error


async def _database(url: str) -> None:
    async with open_engine(url, application_name="mbus-up") as engine, engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _broker(url: str) -> None:
    connection = await aio_pika.connect(url, timeout=TIMEOUT_S)
    await connection.close()


async def _mqtt(url: str) -> None:
    # Who may log in there are gateways, and this is none.
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port or MQTT_PORTS[parts.scheme])
    writer.close()


def _management(broker_url: str) -> Callable[[str], Awaitable[None]]:
    async def use(url: str) -> None:
        async with BrokerAdmin(url, vhost=vhost_of(broker_url)) as admin:
            if not await admin.has_vhost():
                raise StackError(f"it has no virtual host {admin.vhost!r}, which MBUS_UP_BROKER_URL names")

    return use
