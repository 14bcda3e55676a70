"""`GET /properties` and `GET /properties/{id}`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from services.query.api.search_text import search_text
from services.query.database import QueryDatabase
from services.query.queries.properties import PropertiesPage, PropertyWithUnits, one_property, properties_page
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.fields import PROPERTY_EXAMPLE
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import ProblemError, problems
from shared.http.tokens import Caller


def properties_router(database: QueryDatabase, reader: Authenticate) -> APIRouter:
    """Routes about properties; `reader` is the caller that may read them."""
    router = APIRouter(tags=["properties"])

    @router.get(
        "/properties",
        summary="Properties with units and config, by name",
        description="Each with all of its units; those that were removed are not among them.",
        response_model=PropertiesPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_properties(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        q: Annotated[str, search_text("With this text in the name or address, whatever its case.")] = "",
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await properties_page(database, reach=caller.reach, text=q.strip(), cursor=cursor, limit=limit)
        return page_answer(request, page)

    @router.get(
        "/properties/{property_id}",
        summary="One property with units and config",
        description="With all of its units.",
        response_model=PropertyWithUnits,
        responses=problems(404, missing="property"),
    )
    async def get_property(
        caller: Annotated[Caller, Depends(reader)],
        property_id: Annotated[UUID, Path(description="Which one.", examples=[PROPERTY_EXAMPLE])],
    ) -> Response:
        found = await one_property(database, reach=caller.reach, property_id=property_id)
        if found is None:
            raise ProblemError(404, "No such property.")
        return json_answer(found)

    return router
