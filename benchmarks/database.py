"""A database of a bench's own, with a login for each service that it measures; dropped when it ends."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import URL, make_url, text

from shared.database import open_engine
from shared.migrations.runner import give_logins, migrate


@dataclass(frozen=True)
class Login:
    """Name and password of a service, on the database server and on the broker, and its URL of the database."""

    name: str
    password: str
    database_url: str


@dataclass(frozen=True)
class BenchDatabase:
    """A migrated database: the URL of its owner, the logins by service, and what kind of table `reading` is."""

    name: str
    owner_url: str
    logins: Mapping[str, Login]
    is_hypertable: bool
    server: str


@asynccontextmanager
async def open_database(server_url: str, *services: str, hypertable: bool = True) -> AsyncIterator[BenchDatabase]:
    """A migrated database until the block ends, with a login for each of `services` that is its role alone.

    `hypertable=False` makes `reading` a plain table also where TimescaleDB is loaded.
    """
    name = new_name()
    base = make_url(server_url)
    owner_url = base.set(database=name).render_as_string(hide_password=False)
    logins = {service: _new_login(base, name, service) for service in services}
    await execute_outside(server_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        if not hypertable:
            await execute_outside(server_url, f"ALTER DATABASE \"{name}\" SET mbus.hypertable = 'off'")
        async with open_engine(owner_url, application_name="mbus-bench") as engine:
            await migrate(engine)
            await give_logins(engine, {f"mbus_{service}": login.database_url for service, login in logins.items()})
        yield BenchDatabase(
            name,
            owner_url,
            logins,
            is_hypertable=await _is_hypertable(owner_url),
            server=await scalar(owner_url, "SHOW server_version"),
        )
    finally:
        await execute_outside(
            server_url,
            f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
            *(f'DROP ROLE IF EXISTS "{login.name}"' for login in logins.values()),
        )


def _new_login(server: URL, database: str, service: str) -> Login:
    name, password = f"{database}_{service}", secrets.token_urlsafe(16)
    url = server.set(database=database, username=name, password=password)
    return Login(name, password, url.render_as_string(hide_password=False))


def new_name() -> str:
    """What nothing on the server is called yet."""
    return f"mbus_bench_{secrets.token_hex(4)}"


async def scalar(url: str, query: str) -> str:
    """The one value that `query` gives, as text."""
    async with open_engine(url, application_name="mbus-bench") as engine, engine.connect() as connection:
        return str(await connection.scalar(text(query)))


async def execute_outside(url: str, *statements: str) -> None:
    """Run statements that cannot be in a transaction, for as long as they take."""
    async with open_engine(url, application_name="mbus-bench") as engine, engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in ("SET statement_timeout = 0", *statements):
            await autocommit.execute(text(statement))


async def _is_hypertable(url: str) -> bool:
    return await scalar(url, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == "1"
