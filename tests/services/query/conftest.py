"""The query service over ASGI, on this test's own database."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from services.query.main import create_app
from services.query.settings import QuerySettings
from shared.clock import utc_now
from shared.http.tokens import issue_token
from shared.settings import load
from tests.support.databases import Database

SECRET = "a secret of the tests, long enough"

Headers = Callable[[UUID], dict[str, str]]


@pytest.fixture
def settings(database: Database, monkeypatch: pytest.MonkeyPatch) -> QuerySettings:
    monkeypatch.setenv("MBUS_QUERY_DATABASE_URL", database.query_url)
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    return load(QuerySettings)


@pytest.fixture
def headers() -> Headers:
    """Makes the headers of a caller of a tenant, who may read."""

    def headers_of(tenant_id: UUID) -> dict[str, str]:
        token = issue_token(
            secret=SECRET,
            audience="mbus",
            issuer=None,
            subject="tests",
            tenant_id=tenant_id,
            scopes=["readings:read"],
            now=utc_now(),
            lifetime=timedelta(minutes=5),
        )
        return {"Authorization": f"Bearer {token}"}

    return headers_of


@pytest.fixture
async def app(settings: QuerySettings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service; it says who calls only where a test adds `headers`."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://query") as client:
        yield client


@pytest.fixture
async def client_without_database(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service that never reached its database: what it refuses, it refuses by itself."""
    monkeypatch.setenv("MBUS_QUERY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    transport = httpx2.ASGITransport(app=create_app(load(QuerySettings)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://query") as client:
        yield client
