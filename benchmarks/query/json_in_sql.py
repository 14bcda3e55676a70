"""`python -m benchmarks.query.json_in_sql`: the floor. PostgreSQL builds the whole answer; no token, no tenant.

A bare endpoint, one parameterized statement over asyncpg that is prepared once, and a pool that adds no round trip.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from fastapi import FastAPI, Response

from benchmarks.query.anchor import POOL, AnchorSettings, anchor_settings, serve_anchor
from shared.database import driver_arguments

PAGE = """
    WITH page AS MATERIALIZED (
        SELECT meter_installation_id, timestamp, value, rssi_dbm, battery_level_pct, received_at
        FROM reading WHERE meter_installation_id = $1 ORDER BY timestamp DESC LIMIT $2 + 1
    ), items AS MATERIALIZED (SELECT * FROM page LIMIT $2)
    SELECT json_build_object(
        'items', coalesce((SELECT json_agg(items) FROM items), '[]'),
        'next_cursor', CASE WHEN has_next THEN (SELECT min(timestamp) FROM items) END,
        'has_next', has_next
    )::text
    FROM (SELECT count(*) > $2 AS has_next FROM page) AS beyond
"""


def create_app(settings: AnchorSettings) -> FastAPI:
    """The application."""
    pool: asyncpg.Pool[asyncpg.Record] | None = None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal pool
        arguments = driver_arguments(settings.database_url, application_name="mbus-bench")
        async with asyncpg.create_pool(**arguments, min_size=POOL, max_size=POOL, reset=_keep_as_it_is) as pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/readings")
    async def list_readings(installation_id: UUID, limit: int = 100) -> Response:
        assert pool is not None  # noqa: S101 - nothing is served before the pool is open
        return Response(await pool.fetchval(PAGE, installation_id, limit), media_type="application/json")

    return app


async def _keep_as_it_is(_: object) -> None:
    """As our own pool does: no round trip to reset a connection that is handed back."""


if __name__ == "__main__":
    settings = anchor_settings()
    serve_anchor(create_app(settings), settings)
