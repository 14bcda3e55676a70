"""A service's database: it may be away at any time, and is not used before the login was seen to be a modest one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from shared.database import create_engine, create_sessions, refuse_powerful_role
from shared.database_connection import STATEMENT_TIMEOUT_S, leave_what_is_of_no_use
from shared.logs import get_logger

FIRST_ANSWER_S = 2.0
RETRY_S = 1.0

log = get_logger(__name__)


class DatabaseAwayError(Exception):
    """The database has not answered since the service started."""

    def __init__(self) -> None:
        super().__init__("the database has not answered yet")


class NoFreeConnectionError(Exception):
    """All connections of a pool were in use for as long as one may wait for one."""

    def __init__(self) -> None:
        super().__init__("no connection was free in time")


DATABASE_FAILURES: tuple[type[Exception], ...] = (
    DatabaseAwayError,
    NoFreeConnectionError,
    OSError,  # TimeoutError and ConnectionError among them: what a connect raises, unwrapped
    DBAPIError,
    PoolTimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a statement or a connect can raise; `is_away` tells which of them pass by themselves."""

AWAY = ("08", "28", "3D", "53", "57P")
"""Starts of SQLSTATE that say nothing about the statement: no connection, no login, no resources, shutting down."""

CONFLICTS = ("40", "55P03")
"""Another transaction is in the way: a deadlock, a lock that was not to be had in time (`lock_timeout`)."""


def is_away(error: BaseException) -> bool:
    """Whether `error` says that the database cannot be reached or used now, whatever is asked of it."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_away(error.driver_exception)
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(AWAY)
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # asyncpg's DataError; the others speak of the connection
    # The driver is confused in this way when the server closes a connection in the moment in which it is used.
    return was_busy(error) or isinstance(error, asyncpg.InternalClientError | DatabaseAwayError | OSError)


def was_busy(error: BaseException) -> bool:
    """Whether the service waited in vain for one of its own connections, all of which others were using."""
    return isinstance(error, NoFreeConnectionError | PoolTimeoutError)


def was_in_the_way(error: BaseException) -> bool:
    """Whether another transaction was, and nothing was written: the same may be tried again."""
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    return isinstance(cause, asyncpg.PostgresError) and str(cause.sqlstate).startswith(CONFLICTS)


def took_too_long(error: BaseException) -> bool:
    """Whether the server ended the statement, which `statement_timeout` makes it do."""
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    return isinstance(cause, asyncpg.QueryCanceledError)


class ServiceDatabase:
    """The engine of a service while `open()` lasts; `service_role` is whom it may act as, such as `mbus_query`.

    A database that is away at the start does not stop the service: it starts, is not ready, and the login is looked
    at as soon as the database answers.
    """

    def __init__(self, url: str, *, service_role: str, statement_timeout_s: float = STATEMENT_TIMEOUT_S) -> None:
        self.url = url
        self.statement_timeout_s = statement_timeout_s
        self.application_name = service_role.replace("_", "-")
        self._service_role = service_role
        self._verified: AsyncEngine | None = None
        self._sessions: async_sessionmaker[AsyncSession] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Make the engine and wait for the first connect to succeed or fail, up to `FIRST_ANSWER_S`.

        A login with too much power raises `TooPowerfulRoleError` (in an ExceptionGroup, as of any task group), also
        when that is found later: then it cancels the task that opened.
        """
        engine = create_engine(
            self.url,
            application_name=self.application_name,
            of_service=True,
            statement_timeout_s=self.statement_timeout_s,
        )
        leave_what_is_of_no_use(engine)
        tried = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                verifying = tasks.create_task(self._verify(engine, tried))
                with suppress(TimeoutError):
                    await asyncio.wait_for(tried.wait(), FIRST_ANSWER_S)
                yield
                verifying.cancel()
        finally:
            self._verified = self._sessions = None
            await engine.dispose()

    @property
    def verified(self) -> bool:
        """Whether the database has answered and the login is one that may be used."""
        return self._verified is not None

    @property
    def engine(self) -> AsyncEngine:
        """The engine; `DatabaseAwayError` until the database answered for the first time."""
        if self._verified is None:
            raise DatabaseAwayError
        return self._verified

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        """Sessions on the engine; `DatabaseAwayError` until the database answered for the first time."""
        if self._sessions is None:
            raise DatabaseAwayError
        return self._sessions

    async def check(self) -> None:
        """A readiness check: raises unless the database answers now."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def _verify(self, engine: AsyncEngine, tried: asyncio.Event) -> None:
        while not self.verified:
            try:
                await refuse_powerful_role(engine, service_role=self._service_role)
            except DATABASE_FAILURES as error:
                log.warning("database.away", error=str(error).partition("\n")[0], kind=type(error).__name__)
                tried.set()
                await asyncio.sleep(RETRY_S)
            else:
                self._verified, self._sessions = engine, create_sessions(engine)
                tried.set()
