"""The query service's database: the bare driver, with transactions that see what a caller may see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy
from typing_extensions import override

from shared.database import driver_arguments
from shared.database_connection import FREE_CONNECTION_S
from shared.http.reach import Reach
from shared.service_database import DatabaseAwayError, ServiceDatabase

DRIVER_CONNECTIONS = 10
END_TIMEOUT_S = 5.0
"""For a cancelled statement to end and the transaction after it; then the connection is thrown away."""


class QueryDatabase(ServiceDatabase):
    """A service's database with the way in which query reads it."""

    _pool: "asyncpg.Pool[asyncpg.Record] | None" = None

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with super().open(), self._open_pool():
            yield

    def driver(self) -> "PoolAcquireContext[asyncpg.Record]":
        """A connection of the driver's own pool for the length of an `async with`, outside a transaction.

        For a statement that sets its tenant itself. SQLAlchemy's connection costs 0.7 ms where this costs 0.1.
        """
        if self._pool is None or not self.verified:
            raise DatabaseAwayError
        return self._pool.acquire(timeout=FREE_CONNECTION_S)

    @asynccontextmanager
    async def driver_within(
        self, reach: Reach, *, plan_each_time: bool = False
    ) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        """A connection of the driver's pool in a transaction in which row-level security lets through `reach`.

        It is the second lock: every statement has its own filter (docs/architecture/isolation.md).
        Statements are prepared once a connection and also planned once, unless `plan_each_time`: then the planner
        sees the arguments.
        """
        async with self.driver() as connection:
            try:
                await connection.execute(_beginning(reach, plan_each_time=plan_each_time))
                yield connection
            finally:
                await _end_transaction(connection)

    @asynccontextmanager
    async def _open_pool(self) -> AsyncIterator[None]:
        async def keep_as_it_is(_: object) -> None:
            """Leave out the round trip that resets a returned connection: nothing outlives a transaction here."""

        async with asyncpg.create_pool(
            **driver_arguments(
                self.url, application_name=self.application_name, statement_timeout_s=self.statement_timeout_s
            ),
            min_size=0,  # so that a database that is away does not stop the start
            max_size=DRIVER_CONNECTIONS,
            reset=keep_as_it_is,
        ) as self._pool:
            yield


def properties_setting(reach: Reach) -> str:
    """`mbus.property_ids` for row-level security: an array as text, or nothing where all properties are in reach."""
    return "" if reach.property_ids is None else "{" + ",".join(map(str, reach.property_ids)) + "}"


def _beginning(reach: Reach, *, plan_each_time: bool) -> str:
    """One round trip. The values are UUIDs, which need no escape; a statement with arguments would be one more."""
    settings = {
        "mbus.tenant_id": str(reach.tenant_id),
        "mbus.property_ids": properties_setting(reach),
        "plan_cache_mode": "force_custom_plan" if plan_each_time else "force_generic_plan",
    }
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    return f"BEGIN READ ONLY; SELECT {calls}"


async def _end_transaction(connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
    """Commit, which ends a failed transaction too; a connection that may still see a tenant is thrown away."""
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            await connection.execute("COMMIT")
    except BaseException:
        connection.terminate()
        raise
