"""A client that a public generator makes from the OpenAPI document: it reads well, and it works."""

import asyncio
import importlib
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import add_readings
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import create_building
from tests.support.tokens import SECRET, Headers

PROGRAMS = Path(sys.executable).parent
MADE_UP = re.compile(r"\d|_get|Get[A-Z]|Response|AnyOf|OneOf|AllOf|Type$|Item$|Input$|Output$|Validation")
"""What a generator calls things that the document has no name for."""
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
async def url(database: Database) -> AsyncIterator[str]:
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (_, url):
        yield url


@pytest.fixture
async def package(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """The package `mbus_query`, which the generator made of what the service says of itself."""
    made = tmp_path / "mbus_query"
    generator = await asyncio.create_subprocess_exec(
        *(str(PROGRAMS / "openapi-python-client"), "generate", f"--url={url}/openapi.json"),
        *("--meta=none", f"--output-path={made}", "--fail-on-warning"),
        env={"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"},
        stdout=PIPE,
        stderr=STDOUT,
    )
    said, _ = await generator.communicate()
    assert generator.returncode == 0, said.decode()
    monkeypatch.syspath_prepend(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.split(".")[0] == made.name]:
        del sys.modules[name]


def called(operation: str) -> ModuleType:
    """The module of the client that calls an operation, such as `readings.list_readings`."""
    return importlib.import_module(f"mbus_query.api.{operation}")


async def test_its_names_are_words_and_it_pages_lists_and_has_errors_as_types(
    url: str, package: Path, engine: AsyncEngine, headers: Headers
) -> None:
    names = names_in(package)
    assert {"list_readings", "get_installation", "Reading", "InstallationsPage", "Problem", "Medium"} <= names
    assert not [name for name in names if MADE_UP.search(name)]

    building = await create_building(engine)
    installation_id, *_ = building.installation_ids
    await add_readings(engine, installation_id, [NOON + timedelta(hours=hours) for hours in range(5)])
    token = headers(building.tenant_id)["Authorization"].removeprefix("Bearer ")
    mbus, models = importlib.import_module(package.name), importlib.import_module(f"{package.name}.models")
    async with mbus.AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True) as client:

        async def call(operation: str, **parameters: object) -> Any:
            return await called(operation).asyncio(client=client, **parameters)

        page = await call("readings.list_readings", installation_id=[installation_id], limit=2)
        values = [reading.value for reading in page.items]
        while page.has_next:
            before = page.items[-1].timestamp
            page = await call("readings.list_readings", installation_id=[installation_id], limit=2, before=before)
            values += [reading.value for reading in page.items]
        assert values == [4.0, 3.0, 2.0, 1.0, 0.0]
        assert page.items[0].timestamp == NOON

        first = await call("installations.list_installations", limit=2)
        assert isinstance(first, models.InstallationsPage)
        rest = await call("installations.list_installations", limit=2, cursor=first.next_cursor)
        assert {one.id for one in first.items + rest.items} == set(building.installation_ids)
        one = await call("installations.get_installation", installation_id=installation_id)
        assert (one.medium, one.state) == (models.Medium.HEAT, models.InstallationState.NEVER_SEEN)
        assert one.latest_reading is None

        absent = await call("installations.get_installation", installation_id=uuid4())
        assert isinstance(absent, models.Problem)
        assert (absent.status, absent.title, absent.errors) == (404, "Not Found", [])
        bad = await call("installations.list_installations", limit=0)
        assert [(error.location, error.field) for error in bad.errors] == [(models.FieldErrorLocation.QUERY, "limit")]
    async with mbus.AuthenticatedClient(base_url=url, token="bad") as client:
        assert (await call("properties.list_properties")).status == 401


def names_in(package: Path) -> set[str]:
    modules = {file.stem for file in package.glob("api/*/*.py")} - {"__init__"}
    return modules | set(re.findall(r'"(\w+)"', (package / "models" / "__init__.py").read_text()))
