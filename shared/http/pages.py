"""Pages: the answer that every list gives, and the parameters that it takes."""

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import Field

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items to return at most.")]
Cursor = Annotated[
    str | None, Query(max_length=512, description="`next_cursor` of the page before; nothing for the first page.")
]


@dataclass(slots=True)
class Page(Generic[T]):
    """Some items of a list and where to go on."""

    items: list[T]
    next_cursor: Annotated[str | None, Field(description="Pass it to get the next page; null on the last one.")]
    has_next: bool
