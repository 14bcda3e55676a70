"""Errors as problem+json (RFC 9457): what they look like, and the handlers that make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.http.answers import json_answer
from shared.http.cursors import CursorError
from shared.service_database import DATABASE_FAILURES, is_away, took_too_long

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 5


@dataclass(slots=True)
class FieldError:
    """What is wrong with one field of the request."""

    location: Literal["query", "path", "header", "cookie", "body"]
    field: str
    detail: str


@dataclass(slots=True)
class Problem:
    """An error, as RFC 9457 has it; `errors` names each bad field."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    errors: list[FieldError] = field(default_factory=list)


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
    app.add_exception_handler(RequestValidationError, _bad_input)
    app.add_exception_handler(CursorError, _bad_cursor)
    app.add_exception_handler(Exception, _unforeseen)
    for failure in DATABASE_FAILURES:
        app.add_exception_handler(failure, _database_failure)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route gives as `responses`: the errors of its own. Those that all have come by themselves."""
    return {status: {"model": Problem, "description": _title(status)} for status in statuses}


def _answer(
    status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    problem = Problem(_title(status), status, detail, errors=list(errors))
    response = json_answer(problem, status_code=status, media_type=PROBLEM_JSON)
    response.headers.update(headers or {})
    return response


def _title(status: int) -> str:
    # RFC 9110's name, which Python has from 3.13 on.
    return "Unprocessable Content" if status == HTTPStatus.UNPROCESSABLE_ENTITY else HTTPStatus(status).phrase


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    errors = error.errors if isinstance(error, ProblemError) else []
    return _answer(error.status_code, error.detail, errors, error.headers)


async def _bad_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    errors = []
    for problem in error.errors():
        location, *path = problem["loc"]
        # The value itself is not repeated: the caller has it, and it may be anything.
        errors.append(FieldError(location, ".".join(map(str, path)), problem["msg"].removeprefix("Value error, ")))
    return await _http_error(request, BadFieldsError(errors))


async def _bad_cursor(_: Request, error: Exception) -> Response:
    return _answer(400, f"cursor: {error}", [FieldError("query", "cursor", str(error))])


async def _database_failure(_: Request, error: Exception) -> Response:
    if is_away(error):
        retry_after = {"Retry-After": str(RETRY_AFTER_S)}
        return _answer(503, "The database cannot be reached. Try again.", headers=retry_after)
    if took_too_long(error):
        return _answer(504, "The database did not answer in time; the query was cancelled.")
    raise error


async def _unforeseen(_: Request, __: Exception) -> Response:
    return _answer(500, "This is a fault of the service; its log has the details.")
