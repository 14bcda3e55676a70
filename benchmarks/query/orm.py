"""`python -m benchmarks.query.orm`: the common way. Entities, dumped to dicts, validated by a response model; no token.

As tutorials have it, with nothing added that would make it slower: a session as a dependency, one SELECT.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.query.anchor import POOL, AnchorSettings, anchor_settings, serve_anchor
from shared.database import asyncpg_url
from shared.models import Reading


class ReadingOut(BaseModel):
    """One reading of an answer."""

    meter_installation_id: UUID
    timestamp: datetime
    value: float
    rssi_dbm: int | None
    battery_level_pct: int | None
    received_at: datetime


class PageOut(BaseModel):
    """An answer."""

    items: list[ReadingOut]
    next_cursor: datetime | None
    has_next: bool


def create_app(settings: AnchorSettings) -> FastAPI:
    """The application."""
    engine = create_async_engine(asyncpg_url(settings.database_url), pool_size=POOL, max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    async def open_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    @app.get("/readings", response_model=PageOut)
    async def list_readings(
        session: Annotated[AsyncSession, Depends(open_session)],
        installation_id: UUID,
        before: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        statement = (
            select(Reading)
            .where(Reading.meter_installation_id == installation_id)
            .order_by(Reading.timestamp.desc())
            .limit(limit + 1)
        )
        if before is not None:
            statement = statement.where(Reading.timestamp < before)
        readings = (await session.scalars(statement)).all()
        has_next = len(readings) > limit
        return {
            "items": [as_dict(reading) for reading in readings[:limit]],
            "next_cursor": readings[limit - 1].timestamp if has_next else None,
            "has_next": has_next,
        }

    return app


def as_dict(reading: Reading) -> dict[str, Any]:
    """Its columns by name."""
    return {column.name: getattr(reading, column.name) for column in reading.__table__.columns}


if __name__ == "__main__":
    settings = anchor_settings()
    serve_anchor(create_app(settings), settings)
