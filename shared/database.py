"""The database engine with the settings that every program uses, and the check of who it logged in as."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shared.database_connection import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    FREE_CONNECTION_S,
    STATEMENT_TIMEOUT_S,
    KeptAliveConnection,
    milliseconds,
    service_settings,
)

SERVICE_ROLES = ("mbus_ingest", "mbus_query", "mbus_alerts")
"""The database roles of the services (docs/architecture/storage.md)."""


class TooPowerfulRoleError(Exception):
    """A service logged in as a role that could step over the isolation of tenants."""


def asyncpg_url(url: str) -> URL:
    """The URL with the driver that is used here, whatever the URL said (`postgresql://` is enough).

    libpq's `sslmode` becomes the driver's `ssl`, which takes the same values.
    """
    parsed = make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+asyncpg")
    if "sslmode" in parsed.query:
        parsed = parsed.update_query_dict({"ssl": parsed.query["sslmode"]}).difference_update_query(["sslmode"])
    return parsed


def create_engine(
    url: str,
    *,
    application_name: str,
    of_service: bool = False,
    pool_size: int = 10,
    max_overflow: int = 20,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
) -> AsyncEngine:
    """An engine for `url`; connections are made when they are first needed.

    A service's do not wait for ever for an answer or a lock; a command's may, as in a migration.
    """
    return create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=FREE_CONNECTION_S,
        pool_pre_ping=True,
        pool_recycle=3600,
        hide_parameters=True,  # what is written is nothing for a log
        connect_args=_connect_arguments(
            application_name, of_service=of_service, statement_timeout_s=statement_timeout_s
        ),
    )


def driver_arguments(
    url: str, *, application_name: str, statement_timeout_s: float = STATEMENT_TIMEOUT_S
) -> dict[str, Any]:
    """What asyncpg takes to open connections like those of a service's `create_engine`."""
    parsed = asyncpg_url(url)
    _, of_url = parsed.get_dialect()().create_connect_args(parsed)
    return {
        **of_url,
        **_connect_arguments(application_name, of_service=True, statement_timeout_s=statement_timeout_s),
    }


def _connect_arguments(application_name: str, *, of_service: bool, statement_timeout_s: float) -> dict[str, Any]:
    answer_timeout_s = statement_timeout_s + ANSWER_TIMEOUT_S - STATEMENT_TIMEOUT_S
    return {
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": answer_timeout_s if of_service else None,
        "connection_class": KeptAliveConnection,
        "server_settings": {
            "application_name": application_name,
            "statement_timeout": milliseconds(statement_timeout_s),
            "timezone": "UTC",
            **(service_settings(statement_timeout_s) if of_service else {}),
        },
    }


@asynccontextmanager
async def open_engine(url: str, *, application_name: str, of_service: bool = False) -> AsyncIterator[AsyncEngine]:
    """An engine for as long as the block lasts: for a command or a test, where a service keeps one for its life."""
    engine = create_engine(url, application_name=application_name, of_service=of_service)
    try:
        yield engine
    finally:
        await engine.dispose()


def create_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions that neither flush nor reload by themselves: what is sent to the database is written down."""
    return async_sessionmaker(engine, expire_on_commit=False, autoflush=False)


async def refuse_powerful_role(engine: AsyncEngine, *, service_role: str) -> None:
    """Raise `TooPowerfulRoleError` when the engine's login may do more than `service_role`.

    That is as superuser, as owner of the tables, above row-level security, or in place of another service.
    """
    async with engine.connect() as connection:
        login = (
            await connection.execute(
                text(
                    "SELECT current_user AS name, rolsuper, rolbypassrls,"
                    " EXISTS (SELECT FROM pg_class WHERE relname = 'meter_installation'"
                    "         AND pg_has_role(current_user, relowner, 'MEMBER')) AS owns,"
                    " (SELECT string_agg(other.rolname, ', ') FROM pg_roles other WHERE other.rolname = ANY (:others)"
                    "  AND pg_has_role(current_user, other.oid, 'MEMBER')) AS others"
                    " FROM pg_roles WHERE rolname = current_user"
                ),
                {"others": [role for role in SERVICE_ROLES if role != service_role]},
            )
        ).one()
    why = {
        "is a superuser": login.rolsuper,
        "may bypass row-level security": login.rolbypassrls,
        "owns the tables": login.owns,
        f"may act as {login.others}": login.others,
    }
    for reason, holds in why.items():
        if holds:
            raise TooPowerfulRoleError(
                f"database role {login.name!r} {reason}; a service needs a login that is {service_role} alone"
            )
