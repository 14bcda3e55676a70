"""A JSON body is read after the caller was let in, strictly, and what is bad in it is named."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import FiniteFloat
from starlette.types import Message

from shared.http.bodies import STRICTLY, JsonBody
from shared.http.body_limit import BODY_MAX_BYTES
from shared.http.problems import ProblemError
from tests.shared.http.apps import client_of, create

JSON = {"Content-Type": "application/json"}
TOKEN = {"Authorization": "good"}


@dataclass(frozen=True)
class Thing:
    """What is sent."""

    __pydantic_config__ = STRICTLY
    size: FiniteFloat
    parts: list[int]


async def let_in(request: Request) -> None:
    if request.headers.get("Authorization") != "good":
        raise ProblemError(401, "Not you.")


def create_things() -> FastAPI:
    app, router = create(), APIRouter()

    @router.post("/things")
    async def post_thing(
        _: Annotated[None, Depends(let_in)], thing: Annotated[Thing, Depends(JsonBody(Thing))]
    ) -> Thing:
        return thing

    @router.post("/perhaps")
    async def post_perhaps(
        _: Annotated[None, Depends(let_in)],
        thing: Annotated[Thing, Depends(JsonBody(Thing, default=Thing(0, [])))],
    ) -> Thing:
        return thing

    app.include_router(router)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(create_things()) as client:
        yield client


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_a_good_one_is_what_the_route_gets(client: httpx2.AsyncClient, content_type: str) -> None:
    answer = await client.post(
        "/things", content='{"size": 1.5, "parts": [1]}', headers={**TOKEN, "Content-Type": content_type}
    )
    assert (answer.status_code, answer.json()) == (200, {"size": 1.5, "parts": [1]})


async def test_no_body_is_the_default_where_there_is_one(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/perhaps", headers=TOKEN)).json() == {"size": 0, "parts": []}
    assert (await client.post("/perhaps", headers=TOKEN | JSON, content="{}")).status_code == 422
    assert (await client.post("/things", headers=TOKEN)).status_code == 415
    assert (await client.post("/things", headers=TOKEN | JSON)).status_code == 422


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"]
)
async def test_another_content_type_is_a_415_that_says_which_one_it_is_to_be(
    client: httpx2.AsyncClient, content_type: str | None
) -> None:
    given = {} if content_type is None else {"Content-Type": content_type}
    answer = await client.post("/things", content=b'{"size": 1, "parts": []}', headers=TOKEN | given)
    assert (answer.status_code, answer.headers["Accept"]) == (415, "application/json")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "field", "says"),
    [
        (b'{"size": 1,\n "parts": [1', "", "at line 2 column"),
        (b"\xff", "", "Invalid JSON"),
        (b'{"size": "\\ud800", "parts": []}', "", "Invalid JSON"),
        (b"[" * 100_000, "", "Invalid JSON"),
        (b"[]", "", "an object"),
        (b'{"size": NaN, "parts": []}', "size", "finite"),
        (b'{"size": 1e999, "parts": []}', "size", "finite"),
        (b'{"size": "1", "parts": []}', "size", "valid number"),
        (b'{"size": true, "parts": []}', "size", "valid number"),
        (b'{"size": 1, "parts": [1, 2.5]}', "parts.1", "valid integer"),
        (b'{"size": 1}', "parts", "Field required"),
        (b'{"size": 1, "parts": [], "colour": 1}', "colour", "Unexpected"),
    ],
)
async def test_what_is_bad_is_a_422_that_names_the_place(
    client: httpx2.AsyncClient, content: bytes, field: str, says: str
) -> None:
    answer = await client.post("/things", content=content, headers=TOKEN | JSON)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["location"], error["field"]) == ("body", field)
    assert says in error["detail"]


async def test_of_many_errors_some_are_named_and_shortly(client: httpx2.AsyncClient) -> None:
    content = {"size": 1, "parts": [], **{f"{number}{'x' * 1000}": 1 for number in range(1000)}}
    answer = await client.post("/things", json=content, headers=TOKEN)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 10
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("content", [b"", b"{", b'{"size": 1, "parts": []}'])
async def test_without_a_token_it_is_not_even_read(client: httpx2.AsyncClient, content: bytes) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield content

    answer = await client.post("/things", content=body(), headers=JSON)
    assert (answer.status_code, read) == (401, 0)


async def test_one_that_is_too_large_is_a_413(client: httpx2.AsyncClient) -> None:
    content = b'{"size": 1, "parts": []' + b" " * BODY_MAX_BYTES + b"}"
    assert (await client.post("/things", content=content, headers=TOKEN | JSON)).status_code == 413


async def test_a_client_that_leaves_in_the_midst_of_it_ends_the_request() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
    with pytest.raises(ProblemError, match="before it was complete"):
        await JsonBody(Thing)(request)


def test_the_openapi_document_says_what_it_takes() -> None:
    document = create_things().openapi()
    described = document["paths"]["/things"]["post"]["requestBody"]
    assert described == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
    }
    assert document["paths"]["/perhaps"]["post"]["requestBody"]["required"] is False
    thing = document["components"]["schemas"]["Thing"]
    assert (thing["additionalProperties"], thing["required"]) == (False, ["size", "parts"])
