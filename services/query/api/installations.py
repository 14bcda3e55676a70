"""`GET /installations` and `GET /installations/{id}`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from services.query.database import QueryDatabase
from services.query.queries.installations import (
    Installation,
    InstallationsPage,
    installations_page,
    one_installation,
)
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.pages import LIMIT_DEFAULT, Cursor, Limit
from shared.http.problems import ProblemError, problems
from shared.http.tokens import Caller


def installations_router(database: QueryDatabase, reader: Authenticate) -> APIRouter:
    """Routes about installations; `reader` is the caller that may read them."""
    router = APIRouter(tags=["installations"])

    @router.get(
        "/installations",
        summary="Installations with state and latest reading: never seen first, then the longest silent",
        response_model=InstallationsPage,
        responses=problems(400, 401, 403, 422, 503, 504),
    )
    async def list_installations(
        caller: Annotated[Caller, Depends(reader)],
        stale: Annotated[
            bool | None, Query(description="Only those that are stale, or only those that are not.")
        ] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await installations_page(database, reach=caller.reach, stale=stale, cursor=cursor, limit=limit)
        return json_answer(page)

    @router.get(
        "/installations/{installation_id}",
        summary="One installation with state and latest reading",
        response_model=Installation,
        responses=problems(401, 403, 404, 422, 503, 504),
    )
    async def get_installation(
        caller: Annotated[Caller, Depends(reader)], installation_id: Annotated[UUID, Path()]
    ) -> Response:
        found = await one_installation(database, reach=caller.reach, installation_id=installation_id)
        if found is None:
            raise ProblemError(404, "No such installation.")
        return json_answer(found)

    return router
