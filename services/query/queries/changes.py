"""Pages of the feed of changes, written as JSON by the database (docs/architecture/changes.md)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from services.query.database import QueryDatabase
from services.query.queries.readings import Reading
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.reach import Reach

PAGE = "SELECT * FROM changes($1, $2, $3, $4, $5, $6, $7)"

Position = Annotated[int, msgspec.Meta(ge=0, lt=2**63 - 1)]
BEGINNING = (0, None, None, None)

CURSOR_EXAMPLE = "9vT8cQF3mXNbNDIsIjIwMjYtMTEtMDFUMDU6MDA6MDIuMTIzNDU2WiIsbnVsbCxudWxsXQ"


@dataclass(slots=True)
class ChangesPage:
    """Readings in the order in which they were stored or corrected."""

    items: Annotated[list[Reading], Field(description="As they are now. May be fewer than `limit`, or none.")]
    next_cursor: Annotated[
        str,
        Field(
            description="Pass it as `after` to get what follows; also where nothing does yet.",
            examples=[CURSOR_EXAMPLE],
        ),
    ]
    has_next: Annotated[bool, Field(description="Whether there was more when the page was read.", examples=[True])]


@dataclass(slots=True)
class WrittenChangesPage:
    """A `ChangesPage` whose items are JSON already."""

    items: msgspec.Raw
    next_cursor: str
    has_next: bool


async def changes_page(
    database: QueryDatabase, *, reach: Reach, after: str | None, limit: int
) -> WrittenChangesPage | None:
    """Up to `limit` readings within `reach` that were stored after the cursor; raises `CursorError`.

    None where what the cursor stands for is not in the database, which was restored from a backup since.
    """
    # Who sees other properties than the walk began with would lack what is behind the cursor.
    properties = None if reach.property_ids is None else sorted(map(str, reach.property_ids))
    scope = ("changes", reach.tenant_id, properties)
    # A batch, by its position and when it was stored. Where it is not finished, the installation and the time of the
    # last reading in it; without a time all of that installation.
    place = (
        BEGINNING
        if after is None
        else decode_cursor(after, tuple[Position, datetime | None, UUID | None, datetime | None], scope=scope)
    )
    async with database.driver_for(reach.tenant_id) as connection:
        ((is_known, items, *next_place, has_next),) = await connection.fetch(
            PAGE, reach.tenant_id, reach.property_ids, *place, limit
        )
    if not is_known:
        return None
    return WrittenChangesPage(msgspec.Raw(f"[{items}]".encode()), encode_cursor(next_place, scope=scope), has_next)
