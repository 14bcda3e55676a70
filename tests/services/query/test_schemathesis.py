"""Schemathesis, which makes requests from the OpenAPI document, finds no answer that is not as documented."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import add_readings, set_status
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import Building, create_building
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


@dataclass(frozen=True)
class Schemathesis:
    """The program, set on a service, in a folder where it may leave files."""

    url: str
    folder: Path
    amount: list[str]

    async def findings(
        self,
        headers: dict[str, str],
        *arguments: str,
        accepted: list[int | str],
        rejected: list[int | str],
    ) -> str:
        """What it reports at its end when it found something, else nothing.

        `accepted` are the right answers to what the schema allows, `rejected` those to what it does not.
        """
        configuration = self.folder / "schemathesis.toml"
        configuration.write_text(
            f"[checks]\npositive_data_acceptance.expected-statuses = {accepted}\n"
            f"negative_data_rejection.expected-statuses = {rejected}\n"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={configuration}"),
            *("run", f"{self.url}/openapi.json", "--checks=all", "--continue-on-failure", "--no-color"),
            *(f"--header={name}:{value}" for name, value in headers.items()),
            *(*self.amount, *arguments),
            cwd=self.folder,
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        return "" if process.returncode == 0 else output.decode()


@pytest.fixture
async def schemathesis(database: Database, tmp_path: Path, pytestconfig: pytest.Config) -> AsyncIterator[Schemathesis]:
    """The same few requests every time; with `--examples` so many for each operation, drawn from `--seed`."""
    examples, seed = pytestconfig.getoption("--examples"), pytestconfig.getoption("--seed")
    same = ["--max-examples=20", "--generation-deterministic"]
    amount = same if examples is None else [f"--max-examples={examples}", f"--seed={seed}"]
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (_, url):
        yield Schemathesis(url, tmp_path, amount)


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
