"""`GET /readings`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.query.api.reading_parameters import After, Before, OfInstallation, OfMedium, OfProperty, OfUnit
from services.query.database import QueryDatabase
from services.query.queries.readings import (
    INSTALLATIONS_MAX,
    Period,
    ReadingsPage,
    Selection,
    TimeOrder,
    TooManyInstallationsError,
    WrittenPage,
    readings_of_one,
    readings_of_several,
)
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, with_next_link
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.tokens import Caller

DESCRIPTION = f"""\
Readings by time, of one installation or of several.

**One**: give one `installation_id` and no other filter. An installation that is not there is a 404. `next_cursor` is
the time of the last item; it can be passed as `cursor`, or as `before` (`after` with `order=asc`).

**Several**: repeat `installation_id`, or give `property_id`, `unit_id` or `medium`. Values of one filter add up; each
filter more narrows. Ids that are not there select nothing. Meters that were taken down are included, so that the
history of a unit spans an exchange. Up to {INSTALLATIONS_MAX} installations can be selected."""


def readings_router(database: QueryDatabase, reader: Authenticate) -> APIRouter:
    """Routes about readings; `reader` is the caller that may read them."""
    router = APIRouter(tags=["readings"])

    @router.get(
        "/readings",
        summary="Readings of one installation or of several, newest first",
        description=DESCRIPTION,
        response_model=ReadingsPage,
        responses={**PAGE_RESPONSE, **problems(400, 404, missing="installation")},
    )
    async def list_readings(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        installation_id: OfInstallation = (),
        property_id: OfProperty = (),
        unit_id: OfUnit = (),
        medium: OfMedium = (),
        after: After = None,
        before: Before = None,
        order: Annotated[TimeOrder, Query(description="`desc`: newest first; `asc`: oldest first.")] = TimeOrder.DESC,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        selection = Selection(installation_id, property_id, unit_id, medium)
        period = Period(after, before, order)
        page = await _page(database, caller, selection, period, cursor=cursor, limit=limit)
        return with_next_link(json_answer(page), request, page.next_cursor)

    return router


async def _page(
    database: QueryDatabase, caller: Caller, selection: Selection, period: Period, *, cursor: str | None, limit: int
) -> WrittenPage:
    match selection:
        case Selection((), (), (), ()):
            raise BadFieldsError(
                [FieldError("query", "installation_id", "is missing: give it, or property_id, unit_id or medium")]
            )
        case Selection((installation_id,), (), (), ()):
            page = await readings_of_one(
                database,
                reach=caller.reach,
                installation_id=installation_id,
                period=period,
                cursor=cursor,
                limit=limit,
            )
            if page is None:
                raise ProblemError(404, "No such installation.")
            return page
        case _:
            try:
                return await readings_of_several(
                    database, reach=caller.reach, selection=selection, period=period, cursor=cursor, limit=limit
                )
            except TooManyInstallationsError as error:
                raise ProblemError(422, f"{error}. Select fewer, such as one property at a time.") from None
