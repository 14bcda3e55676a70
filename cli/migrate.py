"""`mbus migrate`: makes database and broker ready for the services; safe to repeat."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

import asyncpg
import httpx2
import typer
from aio_pika.exceptions import AMQPConnectionError, AuthenticationError, ProbableAuthenticationError
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.settings import MigrateSettings
from shared.broker_accounts import prepare_broker
from shared.broker_admin import BrokerAdmin, BrokerAdminError, vhost_of
from shared.database import open_engine
from shared.migrations.runner import give_logins, migrate
from shared.settings import SettingsError, load

RETRY_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate_command)


def migrate_command(
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Wait this long for servers that are not up yet.")
    ] = 0,
) -> None:
    """Make the database and the broker ready for the services; safe to repeat.

    The database of MBUS_DATABASE_URL gets the newest schema, and the logins of MBUS_INGEST_DATABASE_URL,
    MBUS_QUERY_DATABASE_URL and MBUS_ALERTS_DATABASE_URL as far as they are set. Where MBUS_BROKER_URL is set, its
    virtual host gets exchanges, queues and policies, and the accounts of MBUS_INGEST_BROKER_URL and
    MBUS_ALERTS_BROKER_URL; that takes MBUS_BROKER_MANAGEMENT_URL.
    """
    settings = load(MigrateSettings)

    async def run() -> None:
        async for done in migrate_all(settings, wait_s=wait):
            print(done)

    asyncio.run(run())


async def migrate_all(settings: MigrateSettings, *, wait_s: float = 0) -> AsyncIterator[str]:
    """Make ready what `settings` name, and tell of each thing when it is done.

    A server that is not up yet is tried again for `wait_s` seconds from now.
    """
    if settings.broker_url is not None and settings.broker_management_url is None:
        raise SettingsError("MBUS_BROKER_MANAGEMENT_URL: is not set, and MBUS_BROKER_URL is")
    deadline = asyncio.get_running_loop().time() + wait_s
    async with open_engine(_plain(settings.database_url), application_name="mbus-migrate") as engine:
        yield await _once_up(lambda: _migrate_database(engine), deadline)
        logins = _logins(
            mbus_ingest=settings.ingest_database_url,
            mbus_query=settings.query_database_url,
            mbus_alerts=settings.alerts_database_url,
        )
        if logins:
            await give_logins(engine, logins)
            yield f"database: logins for {', '.join(logins)}"
    if settings.broker_url is None or settings.broker_management_url is None:
        yield "broker: left alone, MBUS_BROKER_URL is not set"
        return
    broker_url, management_url = _plain(settings.broker_url), _plain(settings.broker_management_url)
    accounts = _logins(ingest=settings.ingest_broker_url, alerts=settings.alerts_broker_url)
    yield await _once_up(lambda: _prepare_broker(broker_url, management_url, accounts), deadline)


async def _migrate_database(engine: AsyncEngine) -> str:
    before = await _revision(engine)
    await migrate(engine)
    after = await _revision(engine)
    name = make_url(str(engine.url)).database
    if before == after:
        return f"database {name}: already at revision {after}"
    return f"database {name}: at revision {after}" + (f", was at {before}" if before else ", new")


async def _revision(engine: AsyncEngine) -> str | None:
    async with engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('public.alembic_version')")) is None:
            return None
        return str(await connection.scalar(text("SELECT version_num FROM alembic_version")))


async def _prepare_broker(broker_url: str, management_url: str, accounts: dict[str, str]) -> str:
    vhost = vhost_of(broker_url)
    async with BrokerAdmin(management_url, vhost=vhost) as admin:
        if not await admin.has_vhost():
            raise CommandError(f"the broker has no virtual host {vhost!r}, which MBUS_BROKER_URL names")
        await prepare_broker(admin, broker_url, accounts)
    told = f"broker {vhost}: exchanges, queues and policies are there"
    return told + (f", and accounts for {', '.join(accounts)}" if accounts else "")


async def _once_up(step: Callable[[], Awaitable[str]], deadline: float) -> str:
    """What `step` returns, tried again until `deadline` (of the loop's clock) while its server is not up."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await step()
        except Exception as error:
            if loop.time() >= deadline or not _may_come_up(error):
                raise
        await asyncio.sleep(RETRY_S)


def _may_come_up(error: Exception) -> bool:
    """Whether this is what a server that is still starting answers, or one that does not listen yet."""
    if isinstance(error, ProbableAuthenticationError | AuthenticationError):
        return False
    if isinstance(error, BrokerAdminError):
        return isinstance(error.__cause__, httpx2.TransportError)
    return isinstance(error, OSError | TimeoutError | asyncpg.CannotConnectNowError | AMQPConnectionError)


def _logins(**urls: SecretStr | None) -> dict[str, str]:
    return {name: _plain(url) for name, url in urls.items() if url is not None}


def _plain(url: SecretStr) -> str:
    return url.get_secret_value()
