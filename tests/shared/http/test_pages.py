"""The `Link` header beside a page leads to the next one, whatever the request was."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import FastAPI, Query, Request, Response

from shared.http.pages import PAGE_RESPONSE, Cursor, Page, page_answer

NAMES = ["a", "b", "c"]
NEXT = re.compile('<(?P<target>[A-Za-z0-9/?:@!$&()*+,;=._~%-]+)>; rel="next"')
ODD = 'a+b &c=d>;"<#%/?ø\0\ufffd\U0001f525'


@pytest.fixture
def app() -> FastAPI:
    """A list of three names, one a page, that repeats the parameters it was given."""
    app = FastAPI()

    @app.get("/names", responses=PAGE_RESPONSE)
    async def names(
        request: Request, cursor: Cursor = None, text: Annotated[list[str] | None, Query()] = None
    ) -> Response:
        at = 0 if cursor is None else NAMES.index(cursor.removeprefix("+ ")) + 1
        has_next = at < len(NAMES) - 1
        return page_answer(request, Page([NAMES[at], text], f"+ {NAMES[at]}" if has_next else None, has_next))

    return app


@asynccontextmanager
async def client_of(app: FastAPI, *, root_path: str = "") -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app, root_path=root_path)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def next_of(answer: httpx2.Response) -> str | None:
    """What the header points at, if it is there."""
    if "link" not in answer.headers:
        return None
    found = NEXT.fullmatch(answer.headers["link"])
    assert found, answer.headers["link"]
    return found["target"]


@pytest.mark.parametrize("text", [[], [""], ["a", "a"], [ODD], [ODD, "", "b"]], ids=range(5))
async def test_following_the_link_meets_every_page_with_all_other_parameters_as_they_were(
    app: FastAPI, text: list[str]
) -> None:
    async with client_of(app) as client:
        answer = await client.get("/names", params={"text": text})
        met = [answer.json()]
        while (following := next_of(answer)) is not None:
            assert following.startswith("/names?")
            assert following.count("cursor=") == 1
            answer = await client.get(following)
            met.append(answer.json())
    assert [page["items"] for page in met] == [[name, text or None] for name in NAMES]
    assert [page["has_next"] for page in met] == [True, True, False]


@pytest.mark.parametrize(
    "raw", ["text=%FF%FE", "text=%ED%A0%80", "text=a+b", "text=%00", "text=>", "text=%", "text=a;b"]
)
async def test_what_is_no_proper_query_is_linked_as_it_was_understood(app: FastAPI, raw: str) -> None:
    async with client_of(app) as client:
        first = await client.get(f"/names?{raw}")
        second = await client.get(str(next_of(first)))
    assert second.json()["items"] == ["b", first.json()["items"][1]]


async def test_the_link_is_under_the_path_that_the_caller_sees(app: FastAPI) -> None:
    async with client_of(app, root_path="/api/v1") as client:
        assert next_of(await client.get("/names")) == "/api/v1/names?cursor=%2B%20a"
        assert next_of(await client.get("/api/v1/names")) == "/api/v1/names?cursor=%2B%20a"


async def test_the_header_is_documented(app: FastAPI) -> None:
    document: dict[str, Any] = app.openapi()
    answer = document["paths"]["/names"]["get"]["responses"]["200"]
    assert answer["headers"].keys() == {"Link"}
    assert answer["content"].keys() == {"application/json"}
