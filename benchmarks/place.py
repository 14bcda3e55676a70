"""A database and a virtual host of a bench's own, on servers that may have others; dropped when it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from benchmarks.database import Login, open_database, scalar
from benchmarks.errors import BenchError
from shared.broker_accounts import prepare_broker
from shared.broker_admin import BrokerAdmin

INGEST, ALERTS = SERVICES = ("ingest", "alerts")

DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(frozen=True)
class BenchServers:
    """Administrators' URLs of the servers on which places are made."""

    database_url: str
    broker_url: str
    management_url: str


@dataclass(frozen=True)
class Place:
    """Where a bench measures: URLs of the owner, of ingest and of alerts, and what kind of table `reading` is."""

    owner_url: str
    ingest_url: str
    alerts_url: str
    broker_url: str
    broker_ingest_url: str
    broker_alerts_url: str
    is_hypertable: bool
    server: str


@asynccontextmanager
async def open_place(servers: BenchServers, *, hypertable: bool = True) -> AsyncIterator[Place]:
    """A migrated database and a prepared virtual host, until the block ends.

    `hypertable=False` makes `reading` a plain table also where TimescaleDB is loaded. Raises `BenchError` on a server
    that does not keep what it confirms: its figures would be too good.
    """
    await _refuse_forgetful(servers.database_url)
    async with open_database(servers.database_url, *SERVICES, hypertable=hypertable) as database:
        broker_url = _broker_url(servers.broker_url, vhost=database.name)
        of_services = {
            service: _broker_url(servers.broker_url, vhost=database.name, login=login)
            for service, login in database.logins.items()
        }
        async with BrokerAdmin(servers.management_url, vhost=database.name) as admin:
            await admin.put_vhost()
            try:
                await admin.put_full_rights(unquote(urlsplit(servers.broker_url).username or "guest"))
                await prepare_broker(admin, broker_url, of_services)
                yield Place(
                    database.owner_url,
                    database.logins[INGEST].database_url,
                    database.logins[ALERTS].database_url,
                    broker_url,
                    of_services[INGEST],
                    of_services[ALERTS],
                    is_hypertable=database.is_hypertable,
                    server=database.server,
                )
            finally:
                await admin.delete_vhost()
                for login in database.logins.values():
                    await admin.delete_account(login.name)


def _broker_url(url: str, *, vhost: str, login: Login | None = None) -> str:
    parts = urlsplit(url)
    netloc = parts.netloc
    if login is not None:
        netloc = f"{quote(login.name, safe='')}:{quote(login.password, safe='')}@{netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{quote(vhost, safe='')}"))


async def _refuse_forgetful(url: str) -> None:
    for setting in DURABILITY:
        if await scalar(url, f"SHOW {setting}") != "on":
            raise BenchError(f"the database server runs with {setting} off: what it confirms may be lost")
