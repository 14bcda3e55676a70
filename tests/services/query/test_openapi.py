"""The OpenAPI document says what the service answers, and says it so that people and programs understand it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from openapi_spec_validator import validate
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.published import published_document
from tests.cli.commands import mbus
from tests.services.query.data import add_readings, set_status
from tests.services.query.operations import Operation, secured_operations
from tests.support.registry import create_building
from tests.support.tokens import Headers

DOCUMENT: dict[str, Any] = json.loads(published_document())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
KEPT = Path(__file__).parents[3] / "docs" / "openapi" / "query.json"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


OPEN = {"/livez", "/readyz"}
OPERATIONS = [
    pytest.param(path, operation, id=path)
    for path, methods in DOCUMENT["paths"].items()
    for operation in methods.values()
]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """What the schema refers to, or itself."""
    found: dict[str, Any] = SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Of a schema of the document, which here lets no field through that is not in it."""
    schemas = {
        name: {**it, "unevaluatedProperties": False} if "properties" in it else it for name, it in SCHEMAS.items()
    }
    return jsonschema.Draft202012Validator(
        {**schema, "components": {"schemas": schemas}},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def test_it_is_an_openapi_document() -> None:
    validate(DOCUMENT)


def test_the_one_in_docs_is_current() -> None:
    assert KEPT.read_bytes() == published_document(), "`make openapi` writes it anew"


async def test_the_service_and_the_command_answer_with_the_same(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    assert (await client.get("/openapi.json")).json() == DOCUMENT
    assert (await mbus("openapi", variables={})).out.encode() == published_document()
    await mbus("openapi", str(tmp_path / "it.json"), variables={})
    assert (tmp_path / "it.json").read_bytes() == published_document()


@pytest.mark.parametrize("operation", [pytest.param(it, id=it.path) for it in secured_operations()])
async def test_an_answer_has_what_is_documented_and_nothing_else(
    operation: Operation, client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine)
    await add_readings(engine, building.installation_ids[0], [NOON])
    await set_status(engine, building.installation_ids[0], state="fresh", last_reading_at=NOON)
    answer = await client.get(operation.url(operation.needed(building)), headers=headers(building.tenant_id))
    assert answer.status_code == 200
    schema = DOCUMENT["paths"][operation.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    validator(schema).validate(answer.json())


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_an_operation_says_what_it_does(path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"][-1] != "."
    assert operation["description"][-1] == "."
    (tag,) = operation["tags"]
    assert tag in {described["name"] for described in DOCUMENT["tags"] if described["description"]}
    assert operation["operationId"].isidentifier()
    assert path in OPEN or operation["security"] == [{"bearer": []}]


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_a_parameter_says_what_it_is_and_where_it_ends(path: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        assert parameter["description"][-1] == ".", (path, parameter)
        schema = resolved(parameter["schema"])
        if schema["type"] == "array":
            assert schema["maxItems"], (path, parameter)
            schema = resolved(schema["items"])
        if "enum" not in schema and schema["type"] != "boolean":
            assert parameter["schema"]["examples"], (path, parameter)
            ends = schema.keys() & {"format", "pattern", "maxLength"} or {"minimum", "maximum"} <= schema.keys()
            assert ends, (path, parameter)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_each_answer_is_described_and_shown(path: str, operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        assert answer["description"][-1] == ".", (path, status)
        (content,) = answer["content"].values()
        validator(content["schema"]).validate(content["example"])
        if "items" in content["example"]:
            assert "next_cursor" in content["example"]
            assert answer["headers"]["Link"]["description"]
        if status >= "400" and path not in OPEN:
            assert content["example"]["status"] == int(status)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_says_what_it_is_and_what_each_field_is(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["description"][-1] == "."
    for field, described in schema.get("properties", {}).items():
        assert (resolved(described) | described)["description"][-1] == ".", field
