"""`GET /installations/{id}/consumption`, `/units/{id}/consumption` and `/properties/{id}/consumption`."""

from collections.abc import Awaitable
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from services.query.api.period_parameters import WantedIn
from services.query.database import QueryDatabase
from services.query.queries.consumption import (
    Wanted,
    consumption_of_installation,
    consumption_of_property,
    consumption_of_unit,
)
from services.query.queries.consumption_answers import (
    ConsumptionOfInstallation,
    ConsumptionOfProperty,
    ConsumptionOfUnit,
)
from services.query.rules.period import PeriodError
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.fields import INSTALLATION_EXAMPLE, PROPERTY_EXAMPLE, UNIT_EXAMPLE
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.tokens import Caller

OF_SEVERAL = (
    "Summed by medium, in kWh, m3 or hca, over all meters that were mounted there in the period, those among them that"
    " were taken out later too. The more meters there are, the fewer buckets can be asked for."
)


class Per(StrEnum):
    """What is summed together."""

    PROPERTY = "property"
    UNIT = "unit"


def consumption_router(
    database: QueryDatabase, reader: Authenticate, *, longest_gap: timedelta, clock: Clock
) -> APIRouter:
    """Routes about consumption; `reader` is the caller that may read it, and `clock` says when a period ends."""
    router = APIRouter(tags=["consumption"])
    which_period = WantedIn(longest_gap=longest_gap, clock=clock)

    @router.get(
        "/installations/{installation_id}/consumption",
        summary="What one meter counted, by hour, day, week or month",
        description="What the meters counted that it replaced in the same unit is in it too.",
        response_model=ConsumptionOfInstallation,
        responses=problems(404, missing="installation"),
    )
    async def get_consumption_of_installation(
        caller: Annotated[Caller, Depends(reader)],
        installation_id: Annotated[UUID, Path(description="Of which one.", examples=[INSTALLATION_EXAMPLE])],
        wanted: Annotated[Wanted, Depends(which_period)],
    ) -> Response:
        return await _answer(
            consumption_of_installation(database, reach=caller.reach, installation_id=installation_id, wanted=wanted),
            missing="installation",
        )

    @router.get(
        "/units/{unit_id}/consumption",
        summary="What the meters of one unit counted, by hour, day, week or month",
        description=OF_SEVERAL,
        response_model=ConsumptionOfUnit,
        responses=problems(404, missing="unit"),
    )
    async def get_consumption_of_unit(
        caller: Annotated[Caller, Depends(reader)],
        unit_id: Annotated[UUID, Path(description="Of which one.", examples=[UNIT_EXAMPLE])],
        wanted: Annotated[Wanted, Depends(which_period)],
    ) -> Response:
        return await _answer(
            consumption_of_unit(database, reach=caller.reach, unit_id=unit_id, wanted=wanted), missing="unit"
        )

    @router.get(
        "/properties/{property_id}/consumption",
        summary="What the meters of one property counted, by hour, day, week or month",
        description=OF_SEVERAL,
        response_model=ConsumptionOfProperty,
        responses=problems(404, missing="property"),
    )
    async def get_consumption_of_property(
        caller: Annotated[Caller, Depends(reader)],
        property_id: Annotated[UUID, Path(description="Of which one.", examples=[PROPERTY_EXAMPLE])],
        wanted: Annotated[Wanted, Depends(which_period)],
        per: Annotated[
            Per, Query(description="What is summed together: all units of the property, or each by itself.")
        ] = Per.PROPERTY,
    ) -> Response:
        return await _answer(
            consumption_of_property(
                database, reach=caller.reach, property_id=property_id, wanted=wanted, each_unit=per is Per.UNIT
            ),
            missing="property",
        )

    return router


Found = TypeVar("Found", ConsumptionOfInstallation, ConsumptionOfUnit, ConsumptionOfProperty)


async def _answer(found: Awaitable[Found | None], *, missing: str) -> Response:
    """What was found, or a problem: of the period, or that there is none."""
    try:
        answer = await found
    except PeriodError as error:
        raise BadFieldsError([FieldError("query", error.field, str(error))]) from None
    if answer is None:
        raise ProblemError(404, f"No such {missing}.")
    return json_answer(answer)
