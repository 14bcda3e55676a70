"""A swift route answers what FastAPI's own route answers, and does not go FastAPI's way when a request is good."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import httpx2
import pytest
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.routing import APIRoute

from shared.http.answers import json_answer
from shared.http.problems import ProblemError
from shared.http.swift_route import SwiftRoute
from shared.http.times import Time
from tests.shared.http.apps import client_of, create

ID = "7f6c0000-0000-4000-8000-000000000001"

GOOD = (
    f"/things/{ID}?size=3",
    f"/things/{ID}?size=3&colour=red&colour=blue&from=2026-11-01T00:00:00Z&who=me",
    f"/things/{ID}?colour=&size=03",
    f"/things/{ID}?size=3&who=",
    f"/things/{ID}?size=1&who=%C3%A6&from=2026-11-01T00:00:00+01:00",
)

BAD = (
    "/things/no-uuid?size=3",
    f"/things/{ID}",
    f"/things/{ID}?size=",
    f"/things/{ID}?size=x&from=yesterday",
    f"/things/{ID}?size=11",
    f"/things/{ID}?size=3&size=4",
    f"/things/{ID}?size=3&who=nobody",
    f"/things/{ID}?size=3&unheard=of",
    f"/things/{ID}?size=3&from_=2026-11-01T00:00:00Z",
    f"/things/{ID}?size=%00",
)


def router_of(route_class: type[APIRoute], calls: list[str]) -> APIRouter:
    """Routes with everything that ours have; `calls` is told of what is called."""
    router = APIRouter(route_class=route_class)

    async def caller(request: Request) -> str:
        calls.append("caller")
        if request.query_params.get("who") == "nobody":
            raise ProblemError(401, "Nobody may not.")
        return request.headers["User-Agent"]

    def taste(
        colour: Annotated[list[str], Query(default_factory=list)], who: Annotated[str, Query()] = "all"
    ) -> tuple[list[str], str]:
        calls.append("taste")
        colour.append("always")
        return colour, who

    @router.get("/things/{thing_id}")
    async def things(
        *,
        request: Request,
        thing_id: Annotated[UUID, Path()],
        caller: Annotated[str, Depends(caller)],
        taste: Annotated[tuple[list[str], str], Depends(taste)],
        size: Annotated[int, Query(le=10)],
        from_: Annotated[Time | None, Query(alias="from")] = None,
    ) -> Response:
        calls.append("endpoint")
        assert from_ is None or isinstance(from_, datetime)
        return json_answer([request.url.path, thing_id, caller, taste, size, from_])

    @router.get("/of-a-header")
    async def of_a_header(agent: Annotated[str, Header(alias="User-Agent")]) -> Response:
        return json_answer(agent)

    @router.get("/validated", response_model=list[int])
    async def validated(size: int) -> Any:
        return [str(size)]

    return router


@asynccontextmanager
async def served(route_class: type[APIRoute]) -> AsyncIterator[tuple[httpx2.AsyncClient, list[str]]]:
    calls: list[str] = []
    app = create()
    app.include_router(router_of(route_class, calls))
    async with client_of(app) as client:
        yield client, calls


@pytest.mark.parametrize("path", [*GOOD, *BAD, "/of-a-header", "/validated?size=3", "/validated?size=x"])
async def test_it_answers_and_calls_what_fastapi_does(path: str) -> None:
    async with served(SwiftRoute) as (client, calls), served(APIRoute) as (usual_client, usual_calls):
        for _ in range(2):
            answer, usual = await client.get(path), await usual_client.get(path)
            assert (answer.status_code, answer.content) == (usual.status_code, usual.content)
            # Where FastAPI passes over what a route does not have, so does this, the long way.
            assert calls == usual_calls


async def test_a_good_request_is_not_read_by_fastapi_and_a_bad_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def solve_nothing(**_: object) -> None:
        raise ProblemError(418, "FastAPI was asked.")

    async with served(SwiftRoute) as (client, calls):
        monkeypatch.setattr("fastapi.routing.solve_dependencies", solve_nothing)
        for path in GOOD:
            assert (await client.get(path)).status_code == 200
        assert calls == ["caller", "taste", "endpoint"] * len(GOOD)
        asked = {path: (await client.get(path)).status_code for path in BAD}
        # Who it is that asks is found out in the short way too.
        assert asked == {path: 401 if "nobody" in path else 418 for path in BAD}
        for path in ("/of-a-header", "/validated?size=3"):
            assert (await client.get(path)).status_code == 418


async def test_it_is_documented_as_fastapi_documents_it() -> None:
    async with served(SwiftRoute) as (client, _), served(APIRoute) as (usual_client, _):
        assert (await client.get("/openapi.json")).json() == (await usual_client.get("/openapi.json")).json()
