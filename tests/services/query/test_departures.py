"""A client that goes away takes its statement with it, and leaves the connection as good as it was."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.http.tenant_database import TENANT_CONNECTIONS
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import create_building
from tests.support.tokens import SECRET, Headers

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = 'mbus-query' AND wait_event_type = 'Lock' AND datname = current_database()"
)

BODIES = [b"", b"a body"] * 5


@asynccontextmanager
async def locked(engine: AsyncEngine, table: str) -> AsyncIterator[None]:
    """Everything that reads the table waits while it lasts."""
    async with engine.begin() as blocker:
        await blocker.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


async def waiting_are(number: int, engine: AsyncEngine) -> None:
    async with engine.connect() as watcher, asyncio.timeout(10):
        while await watcher.scalar(WAITING) != number:
            await watcher.rollback()


@pytest.mark.parametrize(
    ("route", "table"),
    [
        ("/properties", "property"),
        ("/readings?installation_id={}", "meter_installation"),
        ("/installations/{}/consumption", "reading"),
        ("/changes", "change_batch"),
    ],
    ids=["session", "driver", "cursor", "feed"],
)
async def test_the_statements_of_clients_that_go_away_end_with_them(
    database: Database, engine: AsyncEngine, headers: Headers, route: str, table: str
) -> None:
    building = await create_building(engine)
    url = route.format(building.installation_ids[0])
    caller = headers(building.tenant_id)
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (_, base_url), httpx2.AsyncClient(base_url=base_url, timeout=30) as client:
        assert (await client.get(url, headers=caller)).status_code == 200
        for _ in range(2):
            async with locked(engine, table):
                # A body is no reason not to look whether its sender is still there.
                requests = [client.request("GET", url, headers=caller, content=body) for body in BODIES]
                asked = [asyncio.create_task(request) for request in requests]
                await waiting_are(TENANT_CONNECTIONS, engine)
                for one in asked:
                    one.cancel()
                await asyncio.wait(asked)
                async with asyncio.timeout(5):  # a statement may take 10 s, a wait for a lock two thirds of that
                    await waiting_are(0, engine)
        answers = await asyncio.gather(*(client.get(url, headers=caller) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        metrics = (await client.get("/metrics")).text
    template = route.partition("?")[0].replace("{}", "{installation_id}")
    assert f'_count{{method="GET",route="{template}",status="499"}} 20.0' in metrics
    assert f'_count{{method="GET",route="{template}",status="200"}} 11.0' in metrics
