"""What the OpenAPI document says of errors: those that every operation with a token can answer, from one place."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from shared.http.problems import PROBLEM_JSON, FieldError, Problem, title_of

REFERENCE = "#/components/schemas/{model}"
OF_EVERY_SECURED_OPERATION = ("401", "403", "422", "429", "503", "504")
OF_EVERY_BODY = ("413", "415")

_MEANINGS = {
    "400": "The cursor is not one of this list.",
    "401": "No token, or one that is not good.",
    "403": "The token lacks the scope.",
    "409": "Things are no longer, or already, so that this can be done; `detail` says how.",
    "410": "What the cursor stands for is gone: begin again.",
    "413": "The request's body is too large.",
    "415": "The request's body is not JSON.",
    "422": "A parameter or a field is not what it must be, or there is no such parameter; `errors` names each.",
    "429": "The tenant asks too often, or too much at the same time.",
    "503": "The service cannot answer now.",
    "504": "The database took too long; the query was cancelled.",
}
_LIMIT = FieldError("query", "limit", "Input should be less than or equal to 1000")
_EXAMPLES: dict[str, tuple[str, list[FieldError]]] = {
    "401": ("The token is refused: the token has expired.", []),
    "403": ("The token lacks the scope readings:read.", []),
    "415": ("The body must be application/json.", []),
    "422": (f"limit: {_LIMIT.detail}", [_LIMIT]),
    "429": ("Too many requests of this tenant at once. Try again.", []),
    "503": ("The database cannot be reached. Try again.", []),
    "504": ("The database did not answer in time; the query was cancelled.", []),
}
_CHALLENGE = {
    "WWW-Authenticate": {
        "description": "What is wrong with the token (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Try again after so many seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_HEADERS = {"401": _CHALLENGE, "403": _CHALLENGE, "429": _RETRY_AFTER, "503": _RETRY_AFTER}


def document_errors(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document how its operations refuse; a route lists only what it alone answers.

    FastAPI writes every model as JSON and an error of its own for bad input; both become what is really answered.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for operation in _operations(document):
        responses = operation["responses"]
        refusals = {status for status, response in responses.items() if _is_problem(response)}
        if operation.get("security"):
            refusals.update(OF_EVERY_SECURED_OPERATION)
            if "requestBody" in operation:
                refusals.update(OF_EVERY_BODY)
        for status in refusals:
            responses[status] = _problem(status, responses.get(status, {}), operation)
        operation["responses"] = dict(sorted(responses.items()))
    problem = TypeAdapter(Problem).json_schema(mode="serialization", ref_template=REFERENCE)
    schemas.update(problem.pop("$defs"), Problem=problem)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        yield from path.values()


def _is_problem(response: dict[str, Any]) -> bool:
    schemas = (of_type.get("schema", {}).get("$ref", "") for of_type in response.get("content", {}).values())
    return any(schema.endswith(("/Problem", "/HTTPValidationError")) for schema in schemas)


def _problem(status: str, response: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    meaning = _MEANINGS.get(status) or response["description"]
    detail, errors = _of_cursor(operation) if status == "400" else _EXAMPLES.get(status, (meaning, []))
    example = asdict(Problem(title_of(int(status)), int(status), detail, errors=errors))
    described = {
        "description": meaning,
        "content": {PROBLEM_JSON: {"schema": {"$ref": REFERENCE.format(model="Problem")}, "example": example}},
    }
    headers = _HEADERS.get(status, {}) | response.get("headers", {})
    return described | ({"headers": headers} if headers else {})


def _of_cursor(operation: dict[str, Any]) -> tuple[str, list[FieldError]]:
    """A 400 names the parameter that takes the operation's cursors."""
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    name = "cursor" if "cursor" in names else "after"
    refused = "is not a cursor of this list"
    return f"{name}: {refused}", [FieldError("query", name, refused)]
