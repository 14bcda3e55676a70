"""A database of which each transaction sees what one caller may see: the bare driver, shared out among the tenants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias
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

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED"


class TenantDatabase(ServiceDatabase):
    """A service's database with a pool of its own for callers.

    What they ask takes up to `callers_timeout_s` a statement; as long as anything of the service where that is None.
    Their transactions are done as the role `acts_as`, where the service's own sees every tenant.
    """

    _pool: "asyncpg.Pool[asyncpg.Record] | None" = None

    def __init__(
        self,
        url: str,
        *,
        service_role: str,
        acts_as: str | None = None,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        callers_timeout_s: float | None = None,
    ) -> None:
        super().__init__(url, service_role=service_role, statement_timeout_s=statement_timeout_s)
        self._acts_as = acts_as
        self._callers_timeout_s = callers_timeout_s or statement_timeout_s
        self._share = TenantShare(TENANT_CONNECTIONS, wait_s=SHARE_WAIT_S)

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with super().open(), self._open_pool():
            yield

    @asynccontextmanager
    async def driver_within(self, reach: Reach, *, plan_each_time: bool = False) -> AsyncIterator[Connection]:
        """A connection of the driver's pool in a transaction in which row-level security lets through `reach`.

        It is the second lock: every statement has its own filter (docs/architecture/isolation.md). Nothing can be
        written, and all statements see the same rows, for a page may take several.
        Statements are prepared once a connection and also planned once, unless `plan_each_time`: then the planner
        sees the arguments. Raises `TenantBusyError`, and `NoFreeConnectionError`.
        """
        async with self._connection_for(reach.tenant_id) as connection:
            try:
                await connection.execute(self._beginning(READING, reach, plan_each_time=plan_each_time))
                yield connection
            finally:
                await _end_transaction(connection, "COMMIT")  # it ends a failed transaction too

    @asynccontextmanager
    async def writing_within(self, reach: Reach) -> AsyncIterator[Connection]:
        """The same for a transaction that writes: what the block did is kept when it ends without an error."""
        async with self._connection_for(reach.tenant_id) as connection:
            try:
                await connection.execute(self._beginning(WRITING, reach, plan_each_time=True))
                yield connection
            except BaseException:
                await _end_transaction(connection, "ROLLBACK")
                raise
            await _end_transaction(connection, "COMMIT")

    @asynccontextmanager
    async def _connection_for(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """A connection of the tenant's share of the pool, outside a transaction."""
        if self._pool is None or not self.verified:
            raise DatabaseAwayError
        async with self._share.place(tenant_id):
            connection = await _free_connection(self._pool)
            try:
                yield connection
            finally:
                await self._pool.release(connection)

    def _beginning(self, begin: str, reach: Reach, *, plan_each_time: bool) -> str:
        """One round trip. The values are UUIDs, which need no escape; a statement with arguments would be one more."""
        settings = {
            "mbus.tenant_id": str(reach.tenant_id),
            "mbus.property_ids": properties_setting(reach),
            "plan_cache_mode": "force_custom_plan" if plan_each_time else "force_generic_plan",
        }
        if self._acts_as is not None:
            settings["role"] = self._acts_as
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        return f"{begin}; SELECT {calls}"

    @asynccontextmanager
    async def _open_pool(self) -> AsyncIterator[None]:
        async def keep_as_it_is(_: object) -> None:
            """Leave out the round trip that resets a returned connection: nothing outlives a transaction here."""

        async with asyncpg.create_pool(
            **driver_arguments(
                self.url, application_name=self.application_name, statement_timeout_s=self._callers_timeout_s
            ),
            min_size=0,  # so that a database that is away does not stop the start
            max_size=DRIVER_CONNECTIONS,
            reset=keep_as_it_is,
        ) as self._pool:
            yield


async def _free_connection(pool: "asyncpg.Pool[asyncpg.Record]") -> Connection:
    try:
        return await pool.acquire(timeout=FREE_CONNECTION_S)
    except TimeoutError:
        if pool.get_size() < pool.get_max_size():
            raise  # there was a place for one more: it is the connect that got no answer
        raise NoFreeConnectionError from None


def properties_setting(reach: Reach) -> str:
    """`mbus.property_ids` for row-level security: an array as text, or nothing where all properties are in reach."""
    return "" if reach.property_ids is None else "{" + ",".join(map(str, reach.property_ids)) + "}"


async def _end_transaction(connection: Connection, how: str) -> None:
    """End it; a connection that may still see a tenant is thrown away."""
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            await connection.execute(how)
    except BaseException:
        connection.terminate()
        raise
