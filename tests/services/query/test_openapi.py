"""The OpenAPI document says what the service answers."""

from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.published import published_document
from tests.cli.commands import mbus
from tests.services.query.data import add_readings, set_status
from tests.services.query.document import DOCUMENT, operations
from tests.support.openapi import validator
from tests.support.operations import Operation
from tests.support.registry import create_building
from tests.support.tokens import Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def test_the_service_and_the_command_answer_with_the_same(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    assert (await client.get("/openapi.json")).json() == DOCUMENT
    assert (await mbus("openapi", variables={})).out.encode() == published_document()
    await mbus("openapi", str(tmp_path / "it.json"), variables={})
    assert (tmp_path / "it.json").read_bytes() == published_document()


@pytest.mark.parametrize("operation", [pytest.param(it, id=it.path) for it in operations()])
async def test_an_answer_has_what_is_documented_and_nothing_else(
    operation: Operation, client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine)
    await add_readings(engine, building.installation_ids[0], [NOON])
    await set_status(engine, building.installation_ids[0], state="fresh", last_reading_at=NOON)
    answer = await client.get(operation.url(operation.needed(building)), headers=headers(building.tenant_id))
    assert answer.status_code == 200
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = DOCUMENT["paths"][operation.path]["get"]["responses"]["200"]["content"][media_type]["schema"]
    validator(DOCUMENT, schema).validate(answer.json() if media_type == "application/json" else answer.text)
