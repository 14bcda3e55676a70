"""The query service over ASGI, on this test's own database."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from services.query.main import create_app
from services.query.settings import QuerySettings
from shared.settings import load
from tests.support.databases import Database
from tests.support.tokens import SECRET, Headers, headers_with


@pytest.fixture
def headers() -> Headers:
    return headers_with("readings:read")


@pytest.fixture
def settings(database: Database, monkeypatch: pytest.MonkeyPatch) -> QuerySettings:
    monkeypatch.setenv("MBUS_QUERY_DATABASE_URL", database.query_url)
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    monkeypatch.setenv("MBUS_QUERY_RATE_LIMIT_PER_S", "0")  # some tests ask hundreds of things
    return load(QuerySettings)


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://query")


@pytest.fixture
async def client(settings: QuerySettings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service; it says who calls only where a test adds `headers`."""
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@pytest.fixture
async def client_without_database(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service that never reached its database: what it refuses, it refuses by itself."""
    monkeypatch.setenv("MBUS_QUERY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    async with client_of(create_app(load(QuerySettings))) as client:
        yield client
