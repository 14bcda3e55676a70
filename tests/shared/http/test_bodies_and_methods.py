"""Bodies that are too large, methods that a path does not have, and the headers of every answer."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Body, FastAPI, Response

from shared.http.body_limit import BODY_MAX_BYTES
from tests.shared.http.apps import client_of, create


def create_things() -> FastAPI:
    app = create()
    router = APIRouter()

    @router.get("/things")
    async def get_things() -> Response:
        return Response("[]", headers={"Cache-Control": "max-age=60"})

    @router.post("/things")
    async def post_things(thing: Annotated[dict[str, str], Body()]) -> int:
        return len(thing)

    @router.delete("/things/{thing_id}")
    async def delete_thing(thing_id: str) -> Response:
        return Response(thing_id)

    @app.get("/fault")
    async def fault() -> None:
        raise ZeroDivisionError

    app.include_router(router)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(create_things()) as client:
        yield client


def json_of(size: int) -> bytes:
    return b'{"a":"' + b"a" * (size - 8) + b'"}'


async def in_parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


async def test_a_body_may_have_so_many_bytes_and_no_more(client: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    longest = json_of(BODY_MAX_BYTES)
    for content in (longest, in_parts(longest)):  # with its length told, and without
        assert (await client.post("/things", content=content, headers=headers)).status_code == 200
    too_long = json_of(BODY_MAX_BYTES + 1)
    for content in (too_long, in_parts(too_long)):
        answer = await client.post("/things", content=content, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        assert answer.json()["title"] == "Content Too Large"
        assert str(BODY_MAX_BYTES) in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/things", "GET, HEAD, POST"),
        ("DELETE", "/things", "GET, HEAD, POST"),
        ("GET", "/things/1", "DELETE"),
        ("HEAD", "/things/1", "DELETE"),
        ("POST", "/livez", "GET, HEAD"),
        ("TRACE", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_has_not_is_told_which_there_are(
    client: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/nowhere", "/things/", "/livez/", "//", "/things/1/2"])
async def test_a_path_that_is_not_there_is_a_problem_and_no_redirect(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_every_answer_is_safe_from_guesses_and_caches_unless_its_route_says_else(
    client: httpx2.AsyncClient,
) -> None:
    for path, status, kept in (
        ("/livez", 200, "no-store"),
        ("/openapi.json", 200, "no-store"),
        ("/nowhere", 404, "no-store"),
        ("/fault", 500, "no-store"),
        ("/things", 200, "max-age=60"),
    ):
        answer = await client.get(path)
        assert answer.status_code == status
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.headers.get_list("cache-control") == [kept]


async def test_head_is_counted_by_its_route(client: httpx2.AsyncClient) -> None:
    answer = await client.head("/things")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "2")
    metrics = (await client.get("/metrics")).text
    assert '_count{method="GET",route="/things",status="200"} 1.0' in metrics
