"""Applies the revisions to a database, and gives the services' roles their logins."""

import re
from collections.abc import Mapping
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database import SERVICE_ROLES

MIGRATION_LOCK = 0x6D627573
"""An advisory lock key ("mbus"): two `mbus migrate` at once take turns."""

OLDEST_TIMESCALEDB = (2, 18)

ROLES = (*SERVICE_ROLES, "mbus_reader", "mbus_alerts_api")


class MigrationError(Exception):
    """The database cannot be brought to the newest revision; the text says what to change."""


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema to the newest revision in one transaction. `engine` logs in as the owner."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        may_make_roles = await connection.scalar(
            text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        )
        if not may_make_roles:
            raise MigrationError("the owner's database role must be a superuser or have CREATEROLE")
        await _refuse_roles_of_others(connection)
        await connection.run_sync(upgrade)
        await _refuse_old_timescaledb(connection)


async def _refuse_old_timescaledb(connection: AsyncConnection) -> None:
    """Before 2.18 it lost rows that go from a temporary table into a hypertable (timescale/timescaledb#7672)."""
    version = await connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"))
    if version is not None and tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_TIMESCALEDB:
        oldest = ".".join(map(str, OLDEST_TIMESCALEDB))
        raise MigrationError(f"TimescaleDB {version} is too old: {oldest} is the first that loses no rows here")


async def _refuse_roles_of_others(connection: AsyncConnection) -> None:
    """Roles belong to the whole server. Ones that somebody else made must have been handed to this owner."""
    others = (
        await connection.scalars(
            text(
                "SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles)"
                " AND NOT pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') ORDER BY 1"
            ),
            {"roles": list(ROLES)},
        )
    ).all()
    if others:
        names, owner = ", ".join(others), await connection.scalar(text("SELECT current_user"))
        raise MigrationError(
            f"the roles {names} were made by somebody else on this server: let a superuser say"
            f" GRANT {names} TO {owner} WITH ADMIN OPTION"
        )


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run Alembic's upgrade on `connection`, inside its transaction."""
    command.upgrade(alembic_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Run Alembic's downgrade on `connection`, inside its transaction."""
    command.downgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for revisions beside this file, run on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def give_logins(engine: AsyncEngine, logins: Mapping[str, str]) -> None:
    """Let each service log in with the name and password of its URL; `logins` maps a service role to that URL.

    A name other than the service role's own becomes a member of it, so that several stacks can share a server.
    """
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        for role, url in logins.items():
            login = make_url(url)
            if not login.username or not login.password:
                raise MigrationError(f"the URL for {role} must hold a user name and a password")
            await connection.run_sync(_give_login, role=role, name=login.username, password=str(login.password))


def _give_login(connection: Connection, *, role: str, name: str, password: str) -> None:
    preparer = connection.dialect.identifier_preparer
    quoted = preparer.quote_identifier(name)
    exists = connection.scalar(text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)"), {"name": name})
    if not exists:
        connection.execute(text(f"CREATE ROLE {quoted}"))
    # DDL takes no parameters: the server quotes the password itself.
    literal = connection.scalar(text("SELECT quote_literal(cast(:password AS text))"), {"password": password})
    try:
        connection.exec_driver_sql(f"ALTER ROLE {quoted} LOGIN PASSWORD {literal}")
    except DBAPIError as error:
        # Without its cause, whose text holds the statement and so the password.
        raise MigrationError(f"the database did not let {name!r} log in (SQLSTATE {_state(error)})") from None
    if name != role:
        connection.execute(text(f"GRANT {preparer.quote_identifier(role)} TO {quoted}"))


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "unknown"))
