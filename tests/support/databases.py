"""Databases that tests make and drop, on a server that may have others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from sqlalchemy import make_url, text

from shared.database import SERVICE_ROLES, open_engine
from shared.migrations.runner import give_logins, migrate


@dataclass(frozen=True)
class Logins:
    """The session's own login for each service role, so that a running stack's are left alone."""

    names: dict[str, str]
    password: str = "test"

    @classmethod
    def for_session(cls, session_id: str) -> Self:
        return cls({role: f"{role}_test_{session_id}" for role in SERVICE_ROLES})


@dataclass(frozen=True)
class Database:
    """A database and the URLs under which the owner and the services reach it."""

    server_url: str
    name: str
    logins: Logins

    @property
    def owner_url(self) -> str:
        return make_url(self.server_url).set(database=self.name).render_as_string(hide_password=False)

    def url_of(self, role: str) -> str:
        url = make_url(self.server_url).set(
            database=self.name, username=self.logins.names[role], password=self.logins.password
        )
        return url.render_as_string(hide_password=False)

    @property
    def ingest_url(self) -> str:
        return self.url_of("mbus_ingest")

    @property
    def query_url(self) -> str:
        return self.url_of("mbus_query")

    @property
    def alerts_url(self) -> str:
        return self.url_of("mbus_alerts")


@asynccontextmanager
async def migrated_database(server_url: str, session_id: str) -> AsyncIterator[Database]:
    """A migrated database with logins of its own for the services, dropped at the end."""
    database = Database(server_url, f"mbus_test_{session_id}", Logins.for_session(session_id))
    await create_database(server_url, database.name)
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        await migrate(engine)
        await give_logins(engine, {role: database.url_of(role) for role in SERVICE_ROLES})
    try:
        yield database
    finally:
        await drop_database(server_url, database.name)
        await drop_roles(server_url, database.logins)


async def create_database(server_url: str, name: str, *, template: str = "template0") -> None:
    await execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


async def make_template(server_url: str, name: str) -> None:
    """Close a database to everyone, the server's own background workers included, so that it can be copied."""
    await execute(
        server_url,
        f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false',
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'",
    )


async def drop_database(server_url: str, name: str) -> None:
    await execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def drop_roles(server_url: str, logins: Logins) -> None:
    await execute(server_url, *(f'DROP ROLE IF EXISTS "{name}"' for name in logins.names.values()))


async def execute(server_url: str, *statements: str) -> None:
    """Run statements that cannot be in a transaction."""
    async with open_engine(server_url, application_name="mbus-tests") as engine, engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            await autocommit.execute(text(statement))
