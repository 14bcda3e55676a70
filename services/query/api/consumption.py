"""`GET /installations/{id}/consumption`."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Response

from services.query.api.period_parameters import which_period, which_zone
from services.query.database import QueryDatabase
from services.query.queries.consumption import consumption_of_installation
from services.query.queries.consumption_answers import ConsumptionOfInstallation
from services.query.rules.period import Period, PeriodError
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.fields import INSTALLATION_EXAMPLE
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.tokens import Caller


def consumption_router(
    database: QueryDatabase, reader: Authenticate, *, longest_gap: timedelta, clock: Clock
) -> APIRouter:
    """Routes about consumption; `reader` is the caller that may read it, and `clock` says when a period ends."""
    router = APIRouter(tags=["consumption"])

    @router.get(
        "/installations/{installation_id}/consumption",
        summary="What one meter counted, by hour, day, week or month",
        response_model=ConsumptionOfInstallation,
        responses=problems(404, missing="installation"),
    )
    async def get_consumption_of_installation(
        caller: Annotated[Caller, Depends(reader)],
        installation_id: Annotated[UUID, Path(description="Whose.", examples=[INSTALLATION_EXAMPLE])],
        period: Annotated[Period, Depends(which_period)],
        zone: Annotated[ZoneInfo | None, Depends(which_zone)],
    ) -> Response:
        try:
            found = await consumption_of_installation(
                database,
                reach=caller.reach,
                installation_id=installation_id,
                period=period,
                zone=zone,
                longest_gap=longest_gap,
                now=clock(),
            )
        except PeriodError as error:
            raise BadFieldsError([FieldError("query", error.field, str(error))]) from None
        if found is None:
            raise ProblemError(404, "No such installation.")
        return json_answer(found)

    return router
