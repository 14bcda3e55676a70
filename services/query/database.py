"""The query service's database: the bare driver, with transactions that see what a caller may see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from typing_extensions import override

from shared.database import driver_arguments
from shared.database_connection import FREE_CONNECTION_S, STATEMENT_TIMEOUT_S
from shared.http.reach import Reach
from shared.http.tenant_share import TenantShare
from shared.service_database import DatabaseAwayError, NoFreeConnectionError, ServiceDatabase

DRIVER_CONNECTIONS = 10
TENANT_CONNECTIONS = DRIVER_CONNECTIONS // 2
"""So many of them serve one tenant at the same time, so that it leaves some to the others."""

SHARE_WAIT_S = 5.0
"""For so long a request waits for its tenant's share; shorter than a statement may take or wait for a lock."""

END_TIMEOUT_S = 5.0
"""For a cancelled statement to end and the transaction after it; then the connection is thrown away."""


class QueryDatabase(ServiceDatabase):
    """A service's database with the way in which query reads it."""

    _pool: "asyncpg.Pool[asyncpg.Record] | None" = None

    def __init__(self, url: str, *, service_role: str, statement_timeout_s: float = STATEMENT_TIMEOUT_S) -> None:
        super().__init__(url, service_role=service_role, statement_timeout_s=statement_timeout_s)
        self._share = TenantShare(TENANT_CONNECTIONS, wait_s=SHARE_WAIT_S)

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with super().open(), self._open_pool():
            yield

    @asynccontextmanager
    async def driver_for(self, tenant_id: UUID) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        """A connection of the driver's own pool, of the tenant's share of them, outside a transaction.

        For a statement that sets its tenant itself. SQLAlchemy's connection costs 0.7 ms where this costs 0.1.
        Raises `TenantBusyError`, and `NoFreeConnectionError`.
        """
        if self._pool is None or not self.verified:
            raise DatabaseAwayError
        async with self._share.place(tenant_id):
            connection = await _free_connection(self._pool)
            try:
                yield connection
            finally:
                await self._pool.release(connection)

    @asynccontextmanager
    async def driver_within(
        self, reach: Reach, *, plan_each_time: bool = False
    ) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        """A connection of the driver's pool in a transaction in which row-level security lets through `reach`.

        It is the second lock: every statement has its own filter (docs/architecture/isolation.md). All statements see
        the same rows, for a page may take several.
        Statements are prepared once a connection and also planned once, unless `plan_each_time`: then the planner
        sees the arguments.
        """
        async with self.driver_for(reach.tenant_id) as connection:
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


async def _free_connection(pool: "asyncpg.Pool[asyncpg.Record]") -> "PoolConnectionProxy[asyncpg.Record]":
    try:
        return await pool.acquire(timeout=FREE_CONNECTION_S)
    except TimeoutError:
        if pool.get_size() < pool.get_max_size():
            raise  # there was a place for one more: it is the connect that got no answer
        raise NoFreeConnectionError from None


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
    return f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT {calls}"


async def _end_transaction(connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
    """Commit, which ends a failed transaction too; a connection that may still see a tenant is thrown away."""
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            await connection.execute("COMMIT")
    except BaseException:
        connection.terminate()
        raise
