"""Query parameters that a route does not have, or that are given twice, are refused by name."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import httpx2
import pytest
from fastapi import Depends, Header, Path, Query

from shared.clock import utc_now
from shared.http.authentication import caller_with
from shared.http.rate_limit import RateLimit
from shared.http.token_verifier import SharedSecret, TokenVerifier
from shared.http.tokens import Caller, issue_token
from tests.shared.http.apps import client_of, create

SECRET = "a secret of the tests, long enough"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A caller of a service with two routes."""
    app = create()
    tokens = TokenVerifier(SharedSecret(SECRET), audience="mbus", issuer=None, clock=utc_now)
    reader = caller_with("readings:read", tokens, RateLimit(per_s=0, burst=1))

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
    async with client_of(app) as client:
        client.headers["Authorization"] = f"Bearer {token}"
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
