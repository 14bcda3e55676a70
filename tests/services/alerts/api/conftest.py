"""The HTTP face of alerts over ASGI, on this test's own database: nothing judges or sends anything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from services.alerts.api.app import callers_database, create_face
from services.alerts.settings import AlertsSettings
from shared.clock import Clock, utc_now
from shared.http.app import HttpApp
from shared.http.token_settings import token_keys
from shared.settings import load
from shared.telemetry import create_registry
from tests.support.databases import Database
from tests.support.tokens import SECRET, Headers, headers_with


@pytest.fixture
def headers() -> Headers:
    return headers_with("alerts:read alerts:write")


@pytest.fixture
def settings(database: Database, monkeypatch: pytest.MonkeyPatch) -> AlertsSettings:
    monkeypatch.setenv("MBUS_ALERTS_DATABASE_URL", database.alerts_url)
    monkeypatch.setenv("MBUS_ALERTS_BROKER_URL", "amqp://127.0.0.1:1/none")
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    monkeypatch.setenv("MBUS_ALERTS_RATE_LIMIT_PER_S", "0")  # some tests ask hundreds of things
    return load(AlertsSettings)


def create_app(settings: AlertsSettings, *, clock: Clock = utc_now) -> HttpApp:
    """The service without its consumer and its watch."""
    database, keys = callers_database(settings), token_keys(settings)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with keys.open(), database.open():
            yield

    return create_face(
        settings, database, keys, lifespan=lifespan, readiness={}, registry=create_registry(), clock=clock
    )


def client_of(app: HttpApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://alerts")


@pytest.fixture
async def client(settings: AlertsSettings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service; it says who calls only where a test adds `headers`. Streams end after what there is."""
    app = create_app(settings)
    app.stopping.set()
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client
