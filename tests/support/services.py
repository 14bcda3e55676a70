"""The services as a program runs them, in this process, against a test's database and the session's vhost."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from services.alerts.main import create_app as create_alerts
from services.alerts.settings import AlertsSettings
from services.ingest.main import create_app as create_ingest
from services.ingest.settings import IngestSettings
from shared.clock import Clock, utc_now
from tests.support.databases import Database
from tests.support.ingest_session import idle_session
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost


@asynccontextmanager
async def running_ingest(
    database: Database,
    vhost: Vhost,
    *,
    trust_broker_stamps: bool = False,
    replay_interval_s: float = 0.2,
    clock: Clock = utc_now,
) -> AsyncIterator[FastAPI]:
    """Ingest, consuming, and looking often for what can be replayed."""
    settings = IngestSettings.model_validate(
        {
            "database_url": database.ingest_url,
            "broker_url": vhost.ingest_url,
            "trust_broker_stamps": trust_broker_stamps,
            "replay_interval_s": replay_interval_s,
        }
    )
    app = create_ingest(settings, clock=clock)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def running_alerts(
    database: Database,
    vhost: Vhost,
    *,
    settle_s: float = 0,
    ingest: bool = True,
    broker_url: str = "",
    clock: Clock = utc_now,
) -> AsyncIterator[FastAPI]:
    """Alerts, consuming, and judging after `settle_s`; with somebody that stands in for `ingest`, unless it has one."""
    settings = AlertsSettings.model_validate(
        {
            "database_url": database.alerts_url,
            "broker_url": broker_url or vhost.alerts_url,
            "settle_s": settle_s,
            "MBUS_JWT_SECRET": SECRET,
        }
    )
    app = create_alerts(settings, clock=clock)
    async with AsyncExitStack() as stack:
        if ingest:
            await stack.enter_async_context(idle_session(database))
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield app
