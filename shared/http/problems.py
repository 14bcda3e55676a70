"""Errors as problem+json (RFC 9457): what they look like, and the handlers that make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException

from shared.http.answers import json_answer
from shared.http.cursors import CursorError
from shared.http.methods import allowed_methods
from shared.http.response_headers import SAFE_HEADERS
from shared.service_database import DATABASE_FAILURES, is_away, took_too_long, was_busy, was_in_the_way

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 5

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's names, which Python has from 3.13 on."""


@dataclass(slots=True)
class FieldError:
    """What is wrong with one field of the request."""

    location: Annotated[Literal["query", "path", "header", "cookie", "body"], Field(description="Where it stands.")]
    field: Annotated[str, Field(description="Its name; in a body the way to it, joined by dots.", examples=["limit"])]
    detail: Annotated[
        str, Field(description="What it must be.", examples=["Input should be less than or equal to 1000"])
    ]


@dataclass(slots=True)
class Problem:
    """An error, as RFC 9457 has it; `errors` names each bad field."""

    title: Annotated[str, Field(description="The name of the status.")]
    status: Annotated[int, Field(description="The status of the answer.", ge=400, le=599)]
    detail: Annotated[str, Field(description="What is wrong, for people.")]
    type: Annotated[str, Field(description="Always the same: the status says what kind of error it is.")] = (
        "about:blank"
    )
    errors: Annotated[list[FieldError], Field(description="Each bad field; empty where the error is of no field.")] = (
        field(default_factory=list)
    )


class ProblemError(HTTPException):
    """Ends a request with a problem. `detail` and `errors` are shown to the caller."""

    def __init__(
        self,
        status_code: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code, detail, headers)
        self.errors = list(errors)


class BadFieldsError(ProblemError):
    """Ends a request with a 422 that names each field in which something is wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        detail = "; ".join(f"{one.field}: {one.detail}" if one.field else one.detail for one in errors)
        super().__init__(422, detail, errors=errors)


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem: its own, bad input, a database that is away, and what nobody foresaw."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(HTTPStatus.METHOD_NOT_ALLOWED, _method_not_allowed)
    app.add_exception_handler(RequestValidationError, _bad_input)
    app.add_exception_handler(CursorError, _bad_cursor)
    app.add_exception_handler(Exception, _unforeseen)
    for failure in DATABASE_FAILURES:
        app.add_exception_handler(failure, _database_failure)


def problems(*statuses: int, missing: str | None = None) -> dict[int | str, dict[str, Any]]:
    """What a route gives as `responses`: the errors of its own. Those that all have come by themselves.

    `missing` is what there may be none of where the route answers 404.
    """
    answers: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": title_of(status)} for status in statuses
    }
    return answers if missing is None else answers | {404: {"model": Problem, "description": f"No such {missing}."}}


def _answer(
    status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    problem = Problem(title_of(status), status, detail, errors=list(errors))
    response = json_answer(problem, status_code=status, media_type=PROBLEM_JSON)
    response.headers.update(headers or {})
    return response


def title_of(status: int) -> str:
    """The name of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def answer_problem(error: HTTPException) -> Response:
    """The answer that `error` ends a request with, for whoever stands before the application."""
    errors = error.errors if isinstance(error, ProblemError) else []
    return _answer(error.status_code, error.detail, errors, error.headers)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return answer_problem(error)


async def _method_not_allowed(request: Request, _: Exception) -> Response:
    allowed = allowed_methods(request)
    return _answer(405, f"There is {allowed} for this path.", headers={"Allow": allowed})


async def _bad_input(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    errors = []
    for problem in error.errors():
        location, *path = problem["loc"]
        # One that may be repeated is named as it stands in the URL, without the place of the bad value.
        field = str(path[0]) if location == "query" else ".".join(map(str, path))
        # The value itself is not repeated: the caller has it, and it may be anything.
        errors.append(FieldError(location, field, problem["msg"].removeprefix("Value error, ")))
    return answer_problem(BadFieldsError(errors))


async def _bad_cursor(_: Request, error: Exception) -> Response:
    return _answer(400, f"cursor: {error}", [FieldError("query", "cursor", str(error))])


async def _database_failure(_: Request, error: Exception) -> Response:
    retry_after = {"Retry-After": str(RETRY_AFTER_S)}
    if was_busy(error):
        return _answer(503, "No connection to the database was free in time. Try again.", headers=retry_after)
    if is_away(error):
        return _answer(503, "The database cannot be reached. Try again.", headers=retry_after)
    if was_in_the_way(error):
        return _answer(503, "Another change was in the way, and nothing was done. Try again.", headers=retry_after)
    if took_too_long(error):
        return _answer(504, "The database did not answer in time; the query was cancelled.")
    raise error


async def _unforeseen(_: Request, __: Exception) -> Response:
    # It is answered outside the middleware that adds these.
    return _answer(500, "This is a fault of the service; its log has the details.", headers=SAFE_HEADERS)
