"""Query parameters that a route does not have, or that are given twice, are refused by name."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query

from shared.clock import utc_now
from shared.http.authentication import Authenticate, caller_with
from shared.http.problems import answer_with_problems
from shared.http.rate_limit import RateLimit
from shared.http.token_verifier import SharedSecret, TokenVerifier
from shared.http.tokens import Caller, issue_token
from tests.shared.http.apps import client_of, create

SECRET = "a secret of the tests, long enough"


@pytest.fixture
def reader() -> Authenticate:
    tokens = TokenVerifier(SharedSecret(SECRET), audience="mbus", issuer=None, clock=utc_now)
    return caller_with("readings:read", tokens, RateLimit(per_s=0, burst=1))


def caller_of(app: FastAPI) -> httpx2.AsyncClient:
    token = issue_token(
        secret=SECRET,
        audience="mbus",
        issuer=None,
        subject="tests",
        tenant_id=uuid4(),
        scopes=["readings:read"],
        now=utc_now(),
        lifetime=timedelta(minutes=5),
    )
    client = client_of(app)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
async def client(reader: Authenticate) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller of a service with two routes."""
    app = create()

    @app.get("/things/{thing_id}")
    async def things(
        *,
        thing_id: Annotated[str, Path()],
        caller: Annotated[Caller, Depends(reader)],
        colour: Annotated[list[str] | None, Query()] = None,
        size: int = 1,
        from_: Annotated[str | None, Query(alias="from")] = None,
        agent: Annotated[str | None, Header()] = None,
    ) -> list[object]:
        del thing_id, caller, agent
        return [colour, size, from_]

    @app.get("/nothing")
    async def nothing(caller: Annotated[Caller, Depends(reader)]) -> None:
        del caller

    async with caller_of(app) as client:
        yield client


async def test_what_a_route_takes_it_takes_and_a_list_more_than_once(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/things/1")).json() == [None, 1, None]
    answer = await client.get("/things/1?colour=red&from=here&colour=blue&size=2")
    assert answer.json() == [["red", "blue"], 2, "here"]
    assert (await client.get("/nothing?")).status_code == 200


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("size=1&size=1", {"size": "may be given only once"}),
        ("size=1&size=2&size=3", {"size": "may be given only once"}),
        ("sise=1", {"sise": "is no parameter of this route, which has colour, size and from"}),
        ("sise=1&size=x", {"sise": "is no parameter of this route, which has colour, size and from"}),
        ("from_=1", {"from_": "is no parameter of this route, which has colour, size and from"}),
        ("agent=1&agent=2", {"agent": "is no parameter of this route, which has colour, size and from"}),
        ("thing_id=1", {"thing_id": "is no parameter of this route, which has colour, size and from"}),
        (
            "size=1&x=&size=2",
            {"x": "is no parameter of this route, which has colour, size and from", "size": "may be given only once"},
        ),
    ],
)
async def test_others_are_refused_by_name(client: httpx2.AsyncClient, query: str, errors: dict[str, str]) -> None:
    answer = await client.get(f"/things/1?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert {error["field"]: error["detail"] for error in answer.json()["errors"]} == errors
    assert {error["location"] for error in answer.json()["errors"]} == {"query"}


async def test_a_route_without_parameters_says_that_it_has_none(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/nothing?limit=1")
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "limit: is no parameter of this route, which has none",
    )


@pytest.mark.parametrize("name", ["%00", "%ED%A0%80", "%FF%FE", "%", "=", "%F0%9F%94%A5", "a" * 50_000])
async def test_a_name_may_be_any_bytes_of_any_length(client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.get(f"/things/1?{name}=1")
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 1
    assert len(answer.content) < 1000


async def test_a_thousand_wrong_names_make_a_short_answer(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/things/1?" + "&".join(f"a{number}=1" for number in range(1000)))
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 10


@pytest.mark.parametrize("query", ["sise=1", "size=x"])
async def test_who_may_not_come_in_learns_nothing_of_the_parameters(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"/things/1?{query}", headers={"Authorization": "Bearer none"})
    assert answer.status_code == 401
    assert "size" not in answer.text


async def colour_of(colour: str) -> str:
    return colour


async def size_of(size: int = 0) -> int:
    return size


async def weight_of(weight: int = 0) -> int:
    return weight


@pytest.mark.parametrize(
    ("path", "declared"),
    [
        ("/plain/things", "number and size"),
        ("/coloured/things", "number, size and colour"),
        ("/twice/around/things", "number, size, weight and colour"),
        ("/direct", "number, size and weight"),
    ],
)
async def test_what_the_application_and_including_routers_add_belongs_to_the_route(
    reader: Authenticate, path: str, declared: str
) -> None:
    inner, outer = APIRouter(), APIRouter()

    @inner.get("/things")
    async def things(number: int = 0) -> int:
        return number

    app = FastAPI(dependencies=[Depends(reader), Depends(size_of)])
    answer_with_problems(app)
    outer.include_router(inner, prefix="/around", dependencies=[Depends(colour_of)])
    app.include_router(inner, prefix="/plain")
    app.include_router(inner, prefix="/coloured", dependencies=[Depends(colour_of)])
    app.include_router(outer, prefix="/twice", dependencies=[Depends(weight_of)])
    app.add_api_route("/direct", things, dependencies=[Depends(weight_of)])
    names = set(declared.replace(" and ", ", ").split(", "))
    async with caller_of(app) as client:
        good = "&".join(f"{name}=1" for name in names)
        assert (await client.get(f"{path}?{good}")).json() == 1
        for name in {"number", "size", "weight", "colour"} - names:
            refused = await client.get(f"{path}?{good}&{name}=1")
            assert refused.json()["detail"] == f"{name}: is no parameter of this route, which has {declared}"


async def test_who_may_come_in_can_be_asked_where_a_router_is_included(reader: Authenticate) -> None:
    router = APIRouter()

    @router.get("/things")
    async def things() -> int:
        return 1

    app = create()
    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/closed", dependencies=[Depends(reader)])
    async with client_of(app) as stranger:
        assert (await stranger.get("/open/things?a=1")).status_code == 200
        assert (await stranger.get("/closed/things?a=1")).status_code == 401
    async with caller_of(app) as client:
        assert (await client.get("/closed/things")).status_code == 200
        assert (await client.get("/closed/things?a=1")).status_code == 422
