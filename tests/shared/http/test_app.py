"""What every service's HTTP application has: health, metrics, and errors as problem+json."""

import asyncio
from typing import Any

import asyncpg
import pytest
from pydantic import BaseModel
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.http.problems import ProblemError
from tests.shared.http.apps import client_of, create


async def ready() -> None:
    pass


async def broken() -> None:
    raise ConnectionRefusedError("a host and a port that are nobody's business")


async def hanging() -> None:
    await asyncio.Event().wait()


async def test_a_service_whose_parts_are_ready_is_ready() -> None:
    async with client_of(create({"database": ready, "broker": ready})) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "broker": "ok"}, "details": {}}


async def test_readiness_names_each_part_that_fails_and_waits_for_none() -> None:
    async with client_of(create({"database": broken, "broker": hanging, "other": ready})) as client:
        answer = await client.get("/readyz")
        assert (await client.get("/livez")).json() == {"status": "ok"}
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": {"database": "ConnectionRefusedError", "broker": "TimeoutError", "other": "ok"},
        "details": {},
    }


async def test_details_are_told_and_take_nothing_from_readiness() -> None:
    async with client_of(create({"database": ready}, details={"judgement": lambda: "held: nobody looks"})) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["details"] == {"judgement": "held: nobody looks"}


async def test_requests_are_counted_by_route_template_method_and_status() -> None:
    app = create()

    @app.get("/things/{thing}")
    async def thing(thing: int) -> int:
        return thing

    async with client_of(app) as client:
        for path in ("/things/1", "/things/2", "/things/x", "/nowhere", "/things/1/more"):
            await client.get(path)
        await client.request("BREW", "/things/1")
        metrics = (await client.get("/metrics")).text
    name = "mbus_http_request_duration_seconds_count"
    counted = {line for line in metrics.splitlines() if line.startswith(name)}
    assert counted == {
        f'{name}{{method="GET",route="/things/{{thing}}",status="200"}} 2.0',
        f'{name}{{method="GET",route="/things/{{thing}}",status="422"}} 1.0',
        f'{name}{{method="GET",route="unmatched",status="404"}} 2.0',
        f'{name}{{method="other",route="/things/{{thing}}",status="405"}} 1.0',
    }
    assert "process_resident_memory_bytes" in metrics


class Wish(BaseModel):
    count: int


async def test_errors_are_problems_and_repeat_nothing_of_the_request() -> None:
    app = create()

    @app.post("/wishes")
    async def wish(wish: Wish) -> None:
        raise ProblemError(409, f"Already wished {wish.count} times.")

    @app.get("/fault")
    async def fault() -> None:
        raise ZeroDivisionError("a secret")

    async with client_of(app) as client:
        answers = [
            await client.post("/wishes", json={"count": 1}),
            await client.post("/wishes", json={"count": "a secret"}),
            await client.post("/wishes", content=b"{", headers={"content-type": "application/json"}),
            await client.get("/a secret"),
            await client.get("/wishes"),
            await client.get("/fault"),
        ]
    expected: list[dict[str, Any]] = [
        {"status": 409, "title": "Conflict", "detail": "Already wished 1 times."},
        {"status": 422, "title": "Unprocessable Content"},
        {"status": 422, "title": "Unprocessable Content"},
        {"status": 404, "title": "Not Found"},
        {"status": 405, "title": "Method Not Allowed"},
        {"status": 500, "title": "Internal Server Error"},
    ]
    for answer, problem in zip(answers, expected, strict=True):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == problem["status"]
        assert problem.items() <= answer.json().items()
        assert "a secret" not in answer.text
    assert answers[1].json()["errors"][0] | {"detail": ""} == {"location": "body", "field": "count", "detail": ""}
    assert answers[4].headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionRefusedError(), 503),
        (TimeoutError(), 503),
        pytest.param(PoolTimeoutError(), 503, id="no connection is free"),
        (asyncpg.CannotConnectNowError(), 503),
        (asyncpg.ConnectionDoesNotExistError(), 503),
        (asyncpg.AdminShutdownError(), 503),
        (asyncpg.TooManyConnectionsError(), 503),
        (asyncpg.InvalidPasswordError(), 503),
        (asyncpg.InterfaceError("connection is closed"), 503),
        (asyncpg.InternalClientError("cannot switch to state 12"), 503),
        (asyncpg.DeadlockDetectedError(), 503),
        (asyncpg.SerializationError(), 503),
        (asyncpg.LockNotAvailableError(), 503),
        (asyncpg.QueryCanceledError(), 504),
        (asyncpg.UndefinedColumnError(), 500),
        (asyncpg.DataError("invalid input"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_a_database_that_cannot_answer_now_is_a_503_that_says_when_to_try_again(
    error: Exception, status: int
) -> None:
    app = create()

    @app.get("/rows")
    async def rows() -> None:
        raise error

    async with client_of(app) as client:
        answer = await client.get("/rows")
    assert answer.status_code == answer.json()["status"] == status
    assert ("retry-after" in answer.headers) == (status == 503)
