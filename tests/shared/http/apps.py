"""Applications such as every service has, without a service's routes, and their clients."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

from shared.http.app import create_http_app
from shared.http.health import Check, Detail
from shared.telemetry import create_registry


@asynccontextmanager
async def nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


def create(readiness: Mapping[str, Check] | None = None, *, details: Mapping[str, Detail] | None = None) -> FastAPI:
    return create_http_app(
        title="test",
        description="test",
        lifespan=nothing,
        readiness=readiness or {},
        details=details,
        registry=create_registry(),
    )


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://test")
