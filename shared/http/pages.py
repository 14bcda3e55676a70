"""Pages: the answer that every list gives, the link to the next one beside it, and the parameters that a list takes."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query, Request, Response
from pydantic import Field

from shared.http.answers import json_answer

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100
CURSOR_MAX_CHARACTERS = 4096
"""The longest name that the database can index fits in."""

_CURSOR_EXAMPLE = "rUn4ww8rhPZbIjIwMjYtMTEtMDFUMDU6MDA6MDBaIiwiZTlkYTYzZGEtNzZkYi00MTcxLThmMGUtYmZiN2Q5OWY1Njk5Il0"

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items to return at most.", examples=[100])]
Cursor = Annotated[
    str | None,
    Query(
        max_length=CURSOR_MAX_CHARACTERS,
        description="`next_cursor` of the page before; nothing for the first page.",
        examples=[_CURSOR_EXAMPLE],
    ),
]

PAGE_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'The next page (RFC 8288), `<…>; rel="next"`: the same request with its cursor. '
                "Not there on the last page.",
                "schema": {"type": "string"},
            }
        }
    }
}
"""What a list has in its `responses`, so that the OpenAPI document shows the header of `page_answer`."""


@dataclass(slots=True)
class Page:
    """Some items of a list and where to go on. A subclass says what they are, which the OpenAPI document then shows."""

    items: list[Any]
    next_cursor: Annotated[
        str | None,
        Field(
            description="Pass it as `cursor` to get the next page; null on the last one.", examples=[_CURSOR_EXAMPLE]
        ),
    ]
    has_next: Annotated[bool, Field(description="Whether there is a next page.", examples=[True])]


def page_answer(request: Request, page: Page) -> Response:
    """`page` as JSON, with the `Link` header of RFC 8288 when there is a next one."""
    return with_next_link(json_answer(page), request, page.next_cursor)


def with_next_link(
    response: Response, request: Request, next_cursor: str | None, *, parameter: str = "cursor"
) -> Response:
    """`response` with the `Link` header to the page at `next_cursor`, which `parameter` takes; as it was for None."""
    if next_cursor is not None:
        response.headers["Link"] = f'<{_next_page(request, parameter, next_cursor)}>; rel="next"'
    return response


def _next_page(request: Request, parameter: str, next_cursor: str) -> str:
    """A path-absolute reference to the same request with another cursor, all else kept as it was understood."""
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != parameter]
    query = urlencode([*parameters, (parameter, next_cursor)], quote_via=quote, safe=":")
    return f"{quote(_public_path(request), safe='/:@!$&,;=~')}?{query}"


def _public_path(request: Request) -> str:
    """The path as the caller sees it: a server puts `root_path` before it already, FastAPI's own setting does not."""
    path, root = request.scope["path"], request.scope.get("root_path", "").rstrip("/")
    return path if f"{path}/".startswith(f"{root}/") else f"{root}{path}"
