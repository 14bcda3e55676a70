"""The OpenAPI document says what the service answers."""

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.alerts.api.data import NOON, set_last_reading
from tests.services.alerts.api.document import DOCUMENT, STREAM, body_of, operations
from tests.services.alerts.api.test_foreign_ids import inhabited
from tests.support.openapi import validator
from tests.support.operations import Operation
from tests.support.tokens import Headers


async def test_the_service_answers_with_the_same(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == DOCUMENT


@pytest.mark.parametrize("operation", [pytest.param(it, id=it.id) for it in operations()])
async def test_an_answer_has_what_is_documented_and_nothing_else(
    operation: Operation, client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await inhabited(engine)
    await set_last_reading(engine, building.installation_ids[0], NOON, state="fresh")
    answer = await client.request(
        operation.method,
        operation.url(operation.needed(building)),
        headers=headers(building.tenant_id),
        json=body_of(operation, building),
    )
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    (good,) = [status for status in described["responses"] if status < "300"]
    assert answer.status_code == int(good), answer.text
    if operation.path == STREAM:
        assert answer.headers["content-type"].partition(";")[0] in described["responses"][good]["content"]
    elif answer.content:
        schema = described["responses"][good]["content"]["application/json"]["schema"]
        validator(DOCUMENT, schema).validate(answer.json())
    if body_of(operation, building) is not None:
        sent = described["requestBody"]["content"]["application/json"]["schema"]
        validator(DOCUMENT, sent).validate(body_of(operation, building))
