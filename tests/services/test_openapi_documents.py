"""Each service's OpenAPI document says what there is so that people and programs understand it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from services.alerts.published import published_document as of_alerts
from services.query.published import published_document as of_query
from tests.cli.commands import mbus
from tests.support.openapi import Document, resolved, validator

KEPT = Path(__file__).parents[2] / "docs" / "openapi"
PUBLISHED: dict[str, Callable[[], bytes]] = {"query": of_query, "alerts": of_alerts}
DOCUMENTS: dict[str, Document] = {name: json.loads(published()) for name, published in PUBLISHED.items()}
OPEN = {"/livez", "/readyz", "/asyncapi.json"}
OPERATIONS = [
    pytest.param(document, path, operation, id=f"{name}: {method.upper()} {path}")
    for name, document in DOCUMENTS.items()
    for path, methods in document["paths"].items()
    for method, operation in methods.items()
]
SCHEMAS = [
    pytest.param(document, schema, id=f"{name}: {schema}")
    for name, document in DOCUMENTS.items()
    for schema in document["components"]["schemas"]
]


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_it_is_an_openapi_document_and_the_one_in_docs_is_current(name: str) -> None:
    validate(DOCUMENTS[name])
    assert (KEPT / f"{name}.json").read_bytes() == PUBLISHED[name](), "`make openapi` writes it anew"
    assert (await mbus("openapi", "--service", name, variables={})).out.encode() == PUBLISHED[name]()


@pytest.mark.parametrize(("document", "path", "operation"), OPERATIONS)
def test_an_operation_says_what_it_does(document: Document, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"][-1] != "."
    assert operation["description"][-1] == "."
    (tag,) = operation["tags"]
    assert tag in {described["name"] for described in document["tags"] if described["description"]}
    assert operation["operationId"].isidentifier()
    assert path in OPEN or operation["security"] == [{"bearer": []}]


@pytest.mark.parametrize(("document", "path", "operation"), OPERATIONS)
def test_a_parameter_says_what_it_is_and_where_it_ends(
    document: Document, path: str, operation: dict[str, Any]
) -> None:
    for parameter in operation.get("parameters", []):
        assert parameter["description"][-1] == ".", (path, parameter)
        schema = resolved(document, parameter["schema"])
        if schema.get("type") == "array":
            assert schema["maxItems"], (path, parameter)
            schema = resolved(document, schema["items"])
        for one in schema.get("anyOf", [schema]):
            if "enum" not in one and one["type"] != "boolean":
                assert parameter["schema"]["examples"], (path, parameter)
                ends = one.keys() & {"format", "pattern", "maxLength"} or {"minimum", "maximum"} <= one.keys()
                assert ends, (path, parameter)


@pytest.mark.parametrize(("document", "path", "operation"), OPERATIONS)
def test_each_answer_is_described_and_shown(document: Document, path: str, operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        if status == "204":
            assert "content" not in answer
            continue
        assert answer["description"][-1] == ".", (path, status)
        for content in answer["content"].values():
            validator(document, content["schema"]).validate(content["example"])
            if "items" in content["example"]:
                assert "next_cursor" in content["example"]
                assert answer["headers"]["Link"]["description"]
            if status >= "400" and path not in OPEN:
                assert content["example"]["status"] == int(status)


@pytest.mark.parametrize(("document", "name"), SCHEMAS)
def test_a_schema_says_what_it_is_and_what_each_field_is(document: Document, name: str) -> None:
    schema = document["components"]["schemas"][name]
    assert schema["description"][-1] == "."
    for field, described in schema.get("properties", {}).items():
        assert (resolved(document, described) | described)["description"][-1] == ".", field


@pytest.mark.parametrize(("document", "path", "operation"), OPERATIONS)
def test_a_body_is_json_that_refuses_what_it_has_not(document: Document, path: str, operation: dict[str, Any]) -> None:
    if "requestBody" in operation:
        ((content_type, content),) = operation["requestBody"]["content"].items()
        assert content_type == "application/json"
        assert resolved(document, content["schema"])["additionalProperties"] is False
        assert {"413", "415"} <= operation["responses"].keys(), path
