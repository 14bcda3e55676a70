"""Pages: the answer that every list gives, and the parameters that it takes."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100
CURSOR_MAX_CHARACTERS = 4096
"""The longest name that the database can index fits in."""

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items to return at most.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=CURSOR_MAX_CHARACTERS, description="`next_cursor` of the page before; nothing for the first page."
    ),
]


@dataclass(slots=True)
class Page:
    """Some items of a list and where to go on. A subclass says what they are, which the OpenAPI document then shows."""

    items: list[Any]
    next_cursor: Annotated[str | None, Field(description="Pass it to get the next page; null on the last one.")]
    has_next: bool
