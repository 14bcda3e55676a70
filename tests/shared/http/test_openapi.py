"""The OpenAPI document shows the errors that every operation with a token can answer, though no route lists them."""

from typing import Annotated, Any
from uuid import UUID

import httpx2
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel, TypeAdapter

from shared.clock import utc_now
from shared.http.authentication import caller_with
from shared.http.problems import Problem, problems
from shared.http.rate_limit import RateLimit
from shared.http.token_verifier import SharedSecret, TokenVerifier
from shared.http.tokens import Caller
from tests.shared.http.apps import client_of, create


class Wish(BaseModel):
    count: int


def create_wishes() -> FastAPI:
    app = create()
    tokens = TokenVerifier(
        SharedSecret("a secret of the tests, long enough"), audience="mbus", issuer=None, clock=utc_now
    )
    reader = caller_with("readings:read", tokens, RateLimit(per_s=0, burst=1))

    @app.get("/wishes/{wish_id}", responses=problems(404))
    async def get_wish(wish_id: UUID, caller: Annotated[Caller, Depends(reader)]) -> None:
        del wish_id, caller

    @app.post("/wishes", responses=problems(409))
    async def post_wish(wish: Wish, caller: Annotated[Caller, Depends(reader)]) -> None:
        del wish, caller

    @app.get("/open/{number}")
    async def get_open(number: int) -> int:
        return number

    return app


async def document_of(client: httpx2.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


async def test_a_secured_operation_shows_every_refusal_and_an_open_one_only_bad_input() -> None:
    async with client_of(create_wishes()) as client:
        paths = (await document_of(client))["paths"]
    every = {"200", "401", "403", "422", "429", "503", "504"}
    shown = {name: set(path[method]["responses"]) for name, path in paths.items() for method in path}
    assert shown["/wishes/{wish_id}"] == every | {"404"}
    assert shown["/wishes"] == every | {"409", "413", "415"}
    assert shown["/open/{number}"] == {"200", "422"}
    for answers in (paths["/wishes"]["post"]["responses"], paths["/open/{number}"]["get"]["responses"]):
        for status, answer in answers.items():
            if status != "200":
                ((media_type, content),) = answer["content"].items()
                assert media_type == "application/problem+json"
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert content["example"].keys() == {"title", "status", "detail", "type", "errors"}
                assert content["example"]["status"] == int(status)
                assert answer["description"]


async def test_the_headers_of_a_refusal_are_shown_and_are_there() -> None:
    async with client_of(create_wishes()) as client:
        document = await document_of(client)
        refused = await client.post("/wishes", json={"count": 1})
    answers = document["paths"]["/wishes"]["post"]["responses"]
    assert {status: set(answer["headers"]) for status, answer in answers.items() if "headers" in answer} == {
        "401": {"WWW-Authenticate"},
        "403": {"WWW-Authenticate"},
        "429": {"Retry-After"},
        "503": {"Retry-After"},
    }
    assert refused.status_code == 401
    assert "www-authenticate" in refused.headers


async def test_a_problem_is_what_the_document_says_and_nothing_in_it_is_unused() -> None:
    async with client_of(create_wishes()) as client:
        document = await document_of(client)
        assert await document_of(client) == document
        answer = await client.get("/open/x")
    TypeAdapter(Problem).validate_json(answer.content, extra="forbid")
    schemas = document["components"]["schemas"]
    assert set(schemas) == {"FieldError", "Liveness", "Problem", "Readiness", "Wish"}
    assert set(schemas["Problem"]["properties"]) == answer.json().keys()


async def test_what_is_no_problem_keeps_its_media_type_and_the_document_has_a_page() -> None:
    async with client_of(create_wishes()) as client:
        document = await document_of(client)
        assert (await client.get("/docs")).status_code == 200
    assert document["paths"]["/readyz"]["get"]["responses"]["503"]["content"].keys() == {"application/json"}


async def test_the_document_is_made_once_and_anew_when_there_are_more_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("shared.http.app.document_shapes", made.append)
    app = create_wishes()
    async with client_of(app) as client:
        first, second = [await client.get("/openapi.json") for _ in range(2)]
        assert first.headers["content-type"] == "application/json"
        assert (len(made), first.content) == (1, second.content)
        assert app.openapi() == first.json()

        @app.get("/late")
        async def late() -> None: ...

        assert "/late" in (await document_of(client))["paths"]
    assert len(made) == 2


async def test_the_document_names_the_path_that_the_service_is_met_under() -> None:
    app = create_wishes()
    async with client_of(app) as client:
        for root_path in ("", "/query", ""):
            app.root_path = root_path
            path = f"{root_path}/openapi.json"
            urls = [server["url"] for server in (await client.get(path)).json()["servers"]]
            assert urls == ([root_path, "/"] if root_path else ["/"])
