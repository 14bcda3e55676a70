"""`GET /changes`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.query.database import QueryDatabase
from services.query.queries.changes import CURSOR_EXAMPLE, ChangesPage, changes_page
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.cursors import CursorError
from shared.http.pages import CURSOR_MAX_CHARACTERS, PAGE_RESPONSE, with_next_link
from shared.http.problems import FieldError, ProblemError, problems
from shared.http.tokens import Caller

LIMIT_MAX = 10_000
LIMIT_DEFAULT = 1_000

DESCRIPTION = """\
All readings within reach of your token, in the order in which they were stored: none is left out and none repeated,
however many are stored meanwhile. For a copy of them that is kept up to date.

Begin without `after`, and pass `next_cursor` as `after` from then on. It is there on the last page too: keep it, and
ask again later for what has come since. A page may have fewer items than `limit`, or none: go on at once while
`has_next` is true. A reading whose value is corrected comes again, as it is then: what a page tells replaces what an
earlier one told of the same `meter_installation_id` and `timestamp`.

A cursor is good for tokens with the same reach: the tenant, and the properties to which it is narrowed."""


def changes_router(database: QueryDatabase, reader: Authenticate) -> APIRouter:
    """The route of the feed; `reader` is the caller that may read it."""
    router = APIRouter(tags=["readings"])

    @router.get(
        "/changes",
        summary="Readings in the order in which they were stored",
        description=DESCRIPTION,
        response_model=ChangesPage,
        responses={**PAGE_RESPONSE, **problems(400, 410)},
    )
    async def list_changes(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        after: Annotated[
            str | None,
            Query(
                max_length=CURSOR_MAX_CHARACTERS,
                description="`next_cursor` of the page before; nothing to begin.",
                examples=[CURSOR_EXAMPLE],
            ),
        ] = None,
        limit: Annotated[
            int, Query(ge=1, le=LIMIT_MAX, description="How many items to return at most.", examples=[LIMIT_DEFAULT])
        ] = LIMIT_DEFAULT,
    ) -> Response:
        try:
            page = await changes_page(database, reach=caller.reach, after=after, limit=limit)
        except CursorError as error:
            reason = f"{error}, or is one of a token with another reach"
            raise ProblemError(400, f"after: {reason}", errors=[FieldError("query", "after", reason)]) from None
        if page is None:
            raise ProblemError(
                410, "What this cursor stands for is gone: the database was restored. Begin again, with an empty copy."
            )
        next_page = page.next_cursor if page.has_next else None
        return with_next_link(json_answer(page), request, next_page, parameter="after")

    return router
