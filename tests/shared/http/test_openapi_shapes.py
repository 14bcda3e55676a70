"""The OpenAPI document says of parameters and answers what is so."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from fastapi import Query
from pydantic import BaseModel, Field

from shared.http.openapi_shapes import NoExampleError, example_of
from tests.shared.http.apps import create


@dataclass
class Gift:
    """A gift, wrapped."""

    name: Annotated[str, Field(examples=["a book"])]
    weight_kg: Annotated[float | None, Field(examples=[0.5])]
    tags: list[Annotated[str, Field(examples=["red"])]] = field(default_factory=list)
    kind: str = "thing"


class Wish(BaseModel):
    count: int = 1


@pytest.fixture
def document() -> dict[str, Any]:
    app = create()

    @app.get("/gifts", response_model=Gift)
    async def get_gift(name: Annotated[str | None, Query(description="Of the gift.", max_length=9)] = None) -> None:
        del name

    @app.post("/gifts", response_model=Gift)
    async def wish(wish: Wish) -> None:
        del wish

    document = app.openapi()
    assert app.openapi() == document
    return document


def test_nothing_in_a_url_is_null(document: dict[str, Any]) -> None:
    (parameter,) = document["paths"]["/gifts"]["get"]["parameters"]
    assert parameter == {
        "name": "name",
        "in": "query",
        "required": False,
        "description": "Of the gift.",
        "schema": {"type": "string", "maxLength": 9},
    }


def test_a_field_of_an_answer_is_always_there_and_one_of_a_body_only_where_it_must_be(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Gift"]["required"] == ["name", "weight_kg", "tags", "kind"]
    assert "required" not in schemas["Wish"]
    assert schemas["Wish"]["properties"]["count"] == {"type": "integer", "default": 1}


def test_an_answer_is_described_by_its_model_and_has_an_example_made_of_those_of_its_fields(
    document: dict[str, Any],
) -> None:
    answer = document["paths"]["/gifts"]["get"]["responses"]["200"]
    assert answer["description"] == "A gift, wrapped."
    example = {"name": "a book", "weight_kg": 0.5, "tags": ["red"], "kind": "thing"}
    assert answer["content"]["application/json"]["example"] == example


def test_an_example_is_never_half() -> None:
    schema = {"type": "object", "properties": {"known": {"const": 1}, "unknown": {"type": "string"}}}
    with pytest.raises(NoExampleError):
        example_of(schema, {})
