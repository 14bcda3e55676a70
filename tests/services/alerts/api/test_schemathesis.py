"""Schemathesis, which makes requests from the OpenAPI document, finds no answer that is not as documented."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.alerts.api.document import STREAM
from tests.services.alerts.api.test_foreign_ids import inhabited
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import Building
from tests.support.schemathesis import Schemathesis, requests_of
from tests.support.tokens import SECRET, Headers
from tests.support.vhosts import Vhost

pytestmark = pytest.mark.timeout(3600)
"""Quick, unless `--examples` asks for many."""


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await inhabited(engine)


@pytest.fixture
async def schemathesis(
    database: Database, vhost: Vhost, tmp_path: Path, pytestconfig: pytest.Config
) -> AsyncIterator[Schemathesis]:
    variables = {
        "MBUS_ALERTS_DATABASE_URL": database.alerts_url,
        "MBUS_ALERTS_BROKER_URL": vhost.alerts_url,
        "MBUS_ALERTS_SETTLE_S": "3600",
        "MBUS_JWT_SECRET": SECRET,
    }
    async with running(variables, "alerts") as (_, url):
        yield Schemathesis(url, tmp_path, requests_of(pytestconfig))


async def test_it_finds_nothing_with_a_good_token(
    schemathesis: Schemathesis, building: Building, headers: Headers
) -> None:
    # What fits the schema may be refused too: only its list knows a cursor, and only the route what goes together.
    # A stream has no end, which Schemathesis would wait for; with a bad token it has one, and is not left out.
    found = await schemathesis.findings(
        headers(building.tenant_id),
        f"--exclude-path={STREAM}",
        accepted=["2xx", 400, 404, 409, 422],
        rejected=[400, 404, 409, 415, 422],
    )
    assert not found, found


async def test_with_a_bad_token_every_answer_is_a_401_as_documented(
    schemathesis: Schemathesis, building: Building, headers: Headers
) -> None:
    expired = headers(building.tenant_id, lifetime=timedelta(seconds=-1))
    # What is no id is no path of a policy.
    found = await schemathesis.findings(expired, "--exclude-tag=operations", accepted=[401], rejected=[401, 404])
    assert not found, found
