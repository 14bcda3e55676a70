"""`GET /installations`, `GET /installations/summary` and `GET /installations/{id}`."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.query.api.installation_parameters import Stale, State, which_installations, which_states
from services.query.database import QueryDatabase
from services.query.queries.installation_filters import InstallationFilters
from services.query.queries.installation_order import InstallationSort
from services.query.queries.installation_summary import InstallationsSummary, installations_summary
from services.query.queries.installations import (
    InstallationsPage,
    InstallationWithHistory,
    installations_page,
    one_installation,
)
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.fields import INSTALLATION_EXAMPLE
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import ProblemError, problems
from shared.http.tokens import Caller


def installations_router(database: QueryDatabase, reader: Authenticate) -> APIRouter:
    """Routes about installations; `reader` is the caller that may read them."""
    router = APIRouter(tags=["installations"])

    @router.get(
        "/installations",
        summary="Installations with state and latest reading",
        description="Those that were never seen first, then the longest silent, unless `sort` says otherwise. "
        "All filters hold at once; of one that is repeated, any. Meters that were taken out are not among them.",
        response_model=InstallationsPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_installations(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[InstallationFilters, Depends(which_installations)],
        state: State = (),
        stale: Stale = None,
        sort: Annotated[
            InstallationSort,
            Query(
                description="`longest_silent`: never seen first, then by latest reading, the oldest first; "
                "`latest_reading`: the other way round; `meter_serial`: by serial."
            ),
        ] = InstallationSort.LONGEST_SILENT,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        filters = replace(filters, states=which_states(state, stale=stale))
        page = await installations_page(
            database, reach=caller.reach, filters=filters, sort=sort, cursor=cursor, limit=limit
        )
        return page_answer(request, page)

    @router.get(
        "/installations/summary",
        summary="How many installations are in which state",
        description="Of those that the list with the same filters has.",
        response_model=InstallationsSummary,
    )
    async def summarize_installations(
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[InstallationFilters, Depends(which_installations)],
    ) -> Response:
        return json_answer(await installations_summary(database, reach=caller.reach, filters=filters))

    @router.get(
        "/installations/{installation_id}",
        summary="One installation with state and latest reading",
        description="Also one that was taken out, with what replaced it.",
        response_model=InstallationWithHistory,
        responses=problems(404, missing="installation"),
    )
    async def get_installation(
        caller: Annotated[Caller, Depends(reader)],
        installation_id: Annotated[UUID, Path(description="Which one.", examples=[INSTALLATION_EXAMPLE])],
    ) -> Response:
        found = await one_installation(database, reach=caller.reach, installation_id=installation_id)
        if found is None:
            raise ProblemError(404, "No such installation.")
        return json_answer(found)

    return router
