"""A database and a virtual host of a bench's own, on servers that may have others; dropped when it ends."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from sqlalchemy import make_url, text

from shared.broker_accounts import prepare_broker
from shared.broker_admin import BrokerAdmin
from shared.database import open_engine
from shared.migrations.runner import give_logins, migrate

DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


class BenchError(Exception):
    """The bench cannot run here, or its result would mean nothing; the text is one line."""


@dataclass(frozen=True)
class BenchServers:
    """Administrators' URLs of the servers on which places are made."""

    database_url: str
    broker_url: str
    management_url: str


@dataclass(frozen=True)
class Place:
    """Where a bench measures: URLs of the owner and of ingest, and what kind of table `reading` is."""

    owner_url: str
    ingest_url: str
    broker_url: str
    broker_ingest_url: str
    is_hypertable: bool
    server: str


@asynccontextmanager
async def open_place(servers: BenchServers, *, hypertable: bool = True) -> AsyncIterator[Place]:
    """A migrated database and a prepared virtual host, until the block ends.

    `hypertable=False` makes `reading` a plain table also where TimescaleDB is loaded. Raises `BenchError` on a server
    that does not keep what it confirms: its figures would be too good.
    """
    name = f"mbus_bench_{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(16)
    base = make_url(servers.database_url)
    owner_url = base.set(database=name).render_as_string(hide_password=False)
    ingest_url = base.set(database=name, username=name, password=password).render_as_string(hide_password=False)
    broker_url = _broker_url(servers.broker_url, vhost=name)
    broker_ingest_url = _broker_url(servers.broker_url, vhost=name, login=(name, password))
    await _refuse_forgetful(servers.database_url)
    await _execute(servers.database_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        if not hypertable:
            await _execute(servers.database_url, f"ALTER DATABASE \"{name}\" SET mbus.hypertable = 'off'")
        async with open_engine(owner_url, application_name="mbus-bench") as engine:
            await migrate(engine)
            await give_logins(engine, {"mbus_ingest": ingest_url})
        async with BrokerAdmin(servers.management_url, vhost=name) as admin:
            await admin.put_vhost()
            try:
                await admin.put_full_rights(unquote(urlsplit(servers.broker_url).username or "guest"))
                await prepare_broker(admin, broker_url, {"ingest": broker_ingest_url})
                yield Place(
                    owner_url,
                    ingest_url,
                    broker_url,
                    broker_ingest_url,
                    is_hypertable=await _is_hypertable(owner_url),
                    server=await _scalar(owner_url, "SHOW server_version"),
                )
            finally:
                await admin.delete_vhost()
                await admin.delete_account(name)
    finally:
        await _execute(
            servers.database_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'DROP ROLE IF EXISTS "{name}"'
        )


def _broker_url(url: str, *, vhost: str, login: tuple[str, str] | None = None) -> str:
    parts = urlsplit(url)
    netloc = parts.netloc
    if login is not None:
        netloc = f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@{netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{quote(vhost, safe='')}"))


async def _refuse_forgetful(url: str) -> None:
    for setting in DURABILITY:
        if await _scalar(url, f"SHOW {setting}") != "on":
            raise BenchError(f"the database server runs with {setting} off: what it confirms may be lost")


async def _is_hypertable(url: str) -> bool:
    return await _scalar(url, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == "1"


async def _scalar(url: str, query: str) -> str:
    async with open_engine(url, application_name="mbus-bench") as engine, engine.connect() as connection:
        return str(await connection.scalar(text(query)))


async def _execute(url: str, *statements: str) -> None:
    """Run statements that cannot be in a transaction."""
    async with open_engine(url, application_name="mbus-bench") as engine, engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            await autocommit.execute(text(statement))
