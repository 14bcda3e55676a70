"""Schemathesis, which makes requests from the OpenAPI document, finds no answer that is not as documented."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import add_readings, set_status
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import Building, create_building
from tests.support.schemathesis import Schemathesis, requests_of
from tests.support.tokens import SECRET, Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.timeout(3600)
"""Quick, unless `--examples` asks for many."""


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """One meter that is heard, one that is silent, one never seen."""
    building = await create_building(engine)
    heard, silent, _ = building.installation_ids
    await add_readings(engine, heard, [NOON - timedelta(hours=hours) for hours in range(5)])
    await set_status(engine, heard, state="fresh", last_reading_at=NOON)
    await set_status(engine, silent, state="stale", last_reading_at=NOON - timedelta(days=3))
    return building


@pytest.fixture
async def schemathesis(database: Database, tmp_path: Path, pytestconfig: pytest.Config) -> AsyncIterator[Schemathesis]:
    """The same few requests every time; with `--examples` so many for each operation, drawn from `--seed`."""
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (_, url):
        yield Schemathesis(url, tmp_path, requests_of(pytestconfig))


async def test_it_finds_nothing_with_a_good_token(
    schemathesis: Schemathesis, building: Building, headers: Headers
) -> None:
    # What fits the schema may be refused too: only its list knows a cursor, and only the route what goes together.
    found = await schemathesis.findings(
        headers(building.tenant_id), accepted=["2xx", 400, 404, 422], rejected=[400, 404, 422]
    )
    assert not found, found


async def test_with_a_bad_token_every_answer_is_a_401_as_documented(
    schemathesis: Schemathesis, building: Building, headers: Headers
) -> None:
    expired = headers(building.tenant_id, lifetime=timedelta(seconds=-1))
    found = await schemathesis.findings(expired, "--exclude-tag=operations", accepted=[401], rejected=[401])
    assert not found, found
