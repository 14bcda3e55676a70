"""`GET /readings`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.query.database import QueryDatabase
from services.query.queries.readings import ReadingsPage, readings_page
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.pages import LIMIT_DEFAULT, Limit
from shared.http.problems import ProblemError, problems
from shared.http.swift_route import SwiftRoute
from shared.http.times import Time
from shared.http.tokens import Caller


def readings_router(database: QueryDatabase, reader: Authenticate) -> APIRouter:
    """Routes about readings; `reader` is the caller that may read them."""
    router = APIRouter(tags=["readings"], route_class=SwiftRoute)

    @router.get(
        "/readings",
        summary="Readings of one installation, newest first",
        response_model=ReadingsPage,
        responses=problems(401, 403, 404, 422, 503, 504),
    )
    async def list_readings(
        caller: Annotated[Caller, Depends(reader)],
        installation_id: Annotated[UUID, Query(description="Whose readings.")],
        before: Annotated[
            Time | None, Query(description="Only readings older than this time; the `next_cursor` of the page before.")
        ] = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await readings_page(
            database, tenant_id=caller.tenant_id, installation_id=installation_id, before=before, limit=limit
        )
        if page is None:
            raise ProblemError(404, "No such installation.")
        return json_answer(page)

    return router
