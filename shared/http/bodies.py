"""JSON bodies: read after the caller has been let in, where FastAPI would read them before it looks at the token."""

from collections.abc import Iterator
from email.message import Message
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Request
from fastapi.routing import iter_route_contexts
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from shared.http.openapi import REFERENCE
from shared.http.parameters import SHOWN_CHARACTERS, SHOWN_ERRORS
from shared.http.problems import BadFieldsError, FieldError, ProblemError

JSON = "application/json"

STRICTLY = ConfigDict(extra="forbid", strict=True)
"""The `__pydantic_config__` of a body: no unknown fields, and no text where a number must be."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
"""A few words of somebody's. PostgreSQL has no NUL."""

T = TypeVar("T")


class JsonBody(Generic[T]):
    """A dependency that is the request's body as the dataclass `model`; a route names it after its caller.

    The dataclass says itself how strict it is (`STRICTLY`). An empty body is `default`, where there is one. What is bad
    is a 422 that names each field, another content type a 415.
    """

    def __init__(self, model: type[T], *, default: T | None = None) -> None:
        self.model = TypeAdapter(model)
        self.name = model.__name__
        self.is_required = default is None
        self._default = default

    async def __call__(self, request: Request) -> T:
        """The body, or a `ProblemError`."""
        try:
            body = await request.body()
        except ClientDisconnect:
            raise ProblemError(400, "The body ended before it was complete.") from None
        if not body and self._default is not None:
            return self._default
        if _content_type(request) != JSON:
            raise ProblemError(415, f"The body must be {JSON}.", headers={"Accept": JSON})
        try:
            return self.model.validate_json(body)
        except ValidationError as error:
            raise BadFieldsError(list(_errors(error))) from None


def document_bodies(document: dict[str, Any], routes: list[BaseRoute]) -> None:
    """Say in an OpenAPI document what `JsonBody` takes, which FastAPI cannot know."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for route in iter_route_contexts(routes):
        for dependency in route.dependant.dependencies if route.dependant else ():
            if isinstance(dependency.call, JsonBody):
                body = dependency.call
                schema = body.model.json_schema(ref_template=REFERENCE)
                schemas.update(schema.pop("$defs", {}), **{body.name: schema})
                for method in route.methods or ():
                    document["paths"][route.path_format][method.lower()]["requestBody"] = {
                        "required": body.is_required,
                        "content": {JSON: {"schema": {"$ref": REFERENCE.format(model=body.name)}}},
                    }


def _content_type(request: Request) -> str:
    message = Message()
    message["content-type"] = request.headers.get("content-type", "-")
    return message.get_content_type() if "content-type" in request.headers else ""


def _errors(error: ValidationError) -> Iterator[FieldError]:
    for problem in error.errors(include_input=False, include_url=False)[:SHOWN_ERRORS]:
        field = ".".join(str(part)[:SHOWN_CHARACTERS] for part in problem["loc"])
        yield FieldError("body", field, problem["msg"].removeprefix("Value error, "))
