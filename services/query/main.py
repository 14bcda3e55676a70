"""Builds the application from its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from services.query.api.changes import changes_router
from services.query.api.consumption import consumption_router
from services.query.api.export import export_router
from services.query.api.installations import installations_router
from services.query.api.properties import properties_router
from services.query.api.readings import readings_router
from services.query.database import QueryDatabase
from services.query.description import DESCRIPTION, TAGS, TITLE
from services.query.settings import QuerySettings
from shared.clock import Clock, utc_now
from shared.http.app import create_http_app
from shared.http.authentication import caller_with
from shared.http.rate_limit import RateLimit
from shared.http.token_settings import create_verifier, token_keys
from shared.telemetry import create_registry


def create_app(settings: QuerySettings, *, clock: Clock = utc_now) -> FastAPI:
    """The query service. Its database engine lives as long as the application's lifespan; `clock` judges tokens."""
    database = QueryDatabase(
        settings.database_url.get_secret_value(),
        service_role="mbus_query",
        statement_timeout_s=settings.statement_timeout_s,
    )
    keys = token_keys(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with keys.open(), database.open():
            yield

    app = create_http_app(
        title=TITLE,
        description=DESCRIPTION,
        tags=TAGS,
        lifespan=lifespan,
        readiness={"database": database.check, **keys.readiness},
        registry=create_registry(),
    )
    limit = RateLimit(per_s=settings.rate_limit_per_s, burst=settings.rate_limit_burst)
    reader = caller_with("readings:read", create_verifier(settings, keys, clock=clock), limit)
    for router in (readings_router, changes_router, installations_router, properties_router):
        app.include_router(router(database, reader))
    longest_gap = timedelta(seconds=settings.longest_gap_s)
    app.include_router(consumption_router(database, reader, longest_gap=longest_gap, clock=clock))
    app.include_router(export_router(database, reader, clock=clock))
    return app
