"""A database of a bench's own, with a login for the service that it measures; dropped when it ends."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import make_url, text

from shared.database import open_engine
from shared.migrations.runner import give_logins, migrate


@dataclass(frozen=True)
class BenchDatabase:
    """A migrated database: the URLs of its owner and of the service, and what kind of table `reading` is.

    `name` and `password` are those of the service's login; the database has the same name.
    """

    name: str
    password: str
    owner_url: str
    service_url: str
    is_hypertable: bool
    server: str


@asynccontextmanager
async def open_database(server_url: str, *, service_role: str, hypertable: bool = True) -> AsyncIterator[BenchDatabase]:
    """A migrated database with a login that is `service_role` alone, until the block ends.

    `hypertable=False` makes `reading` a plain table also where TimescaleDB is loaded.
    """
    name = new_name()
    password = secrets.token_urlsafe(16)
    base = make_url(server_url)
    owner_url = base.set(database=name).render_as_string(hide_password=False)
    service_url = base.set(database=name, username=name, password=password).render_as_string(hide_password=False)
    await execute_outside(server_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        if not hypertable:
            await execute_outside(server_url, f"ALTER DATABASE \"{name}\" SET mbus.hypertable = 'off'")
        async with open_engine(owner_url, application_name="mbus-bench") as engine:
            await migrate(engine)
            await give_logins(engine, {service_role: service_url})
        yield BenchDatabase(
            name,
            password,
            owner_url,
            service_url,
            is_hypertable=await _is_hypertable(owner_url),
            server=await scalar(owner_url, "SHOW server_version"),
        )
    finally:
        await execute_outside(
            server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'DROP ROLE IF EXISTS "{name}"'
        )


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
