"""The query service over ASGI, on this test's own database."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol
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


class Headers(Protocol):
    """Makes the headers of a caller of a tenant, who may read all of it unless the test says otherwise."""

    def __call__(
        self,
        tenant_id: UUID,
        *,
        scope: str = "readings:read",
        lifetime: timedelta = timedelta(minutes=5),
        property_ids: list[UUID] | None = None,
    ) -> dict[str, str]: ...


@pytest.fixture
def headers() -> Headers:
    def headers_of(
        tenant_id: UUID,
        *,
        scope: str = "readings:read",
        lifetime: timedelta = timedelta(minutes=5),
        property_ids: list[UUID] | None = None,
    ) -> dict[str, str]:
        token = issue_token(
            secret=SECRET,
            audience="mbus",
            issuer=None,
            subject="tests",
            tenant_id=tenant_id,
            scopes=scope.split(),
            now=utc_now(),
            lifetime=lifetime,
            property_ids=property_ids,
        )
        return {"Authorization": f"Bearer {token}"}

    return headers_of


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
