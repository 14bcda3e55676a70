"""`/maintenance-windows`: when nobody is to be told that something fell silent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.alerts.api.wanted_window import checked
from services.alerts.operations.maintenance_windows import (
    MOST,
    TooManyWindowsError,
    create_window,
    remove_window,
    replace_window,
)
from services.alerts.operations.targets import BeyondReachError, NoTargetError
from services.alerts.queries.maintenance_windows import MaintenanceWindowsPage, WindowFilters, one_window, windows_page
from services.alerts.queries.window_fields import WINDOW_EXAMPLE, MaintenanceWindow, MaintenanceWindowBody
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.bodies import JsonBody
from shared.http.fields import GATEWAY_EXAMPLE, INSTALLATION_EXAMPLE, PROPERTY_EXAMPLE
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.repeated import TIMES_MAX, GatewayId
from shared.http.tenant_database import TenantDatabase
from shared.http.tokens import Caller

WindowPath = Annotated[UUID, Path(description="Which one.", examples=[WINDOW_EXAMPLE])]

MISSING = "maintenance window"
NO_SUCH = f"No such {MISSING}."
NARROWED = (
    "The token is narrowed to some properties: it can change windows of these, of meters in them, and of gateways whose"
    " meters are all there."
)
LOCATION = {
    "Location": {"description": "Where the window is.", "required": True, "schema": {"type": "string"}},
}


async def which_windows(
    installation_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="Of one of these meters.", examples=[[INSTALLATION_EXAMPLE]]),
    ] = (),
    property_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="Of one of these properties.", examples=[[PROPERTY_EXAMPLE]]),
    ] = (),
    gateway_id: Annotated[
        tuple[GatewayId, ...],
        Query(max_length=TIMES_MAX, description="Of one of these gateways.", examples=[[GATEWAY_EXAMPLE]]),
    ] = (),
) -> WindowFilters:
    """The filters of the list."""
    return WindowFilters(frozenset(installation_id), frozenset(property_id), frozenset(gateway_id))


def maintenance_windows_router(
    database: TenantDatabase, reader: Authenticate, writer: Authenticate, *, clock: Clock
) -> APIRouter:
    """Routes about maintenance windows; `reader` and `writer` are the callers that may read and change them."""
    router = APIRouter(tags=["maintenance windows"])

    @router.get(
        "/maintenance-windows",
        summary="Maintenance windows",
        description="Those that concern any meter within reach, also those that are over. A filter chooses by what a "
        "window is of: one of a property is not among those of a meter in it. All filters hold at once; of one that is "
        "repeated, any.",
        response_model=MaintenanceWindowsPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_windows(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[WindowFilters, Depends(which_windows)],
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await windows_page(database, reach=caller.reach, filters=filters, cursor=cursor, limit=limit)
        return page_answer(request, page)

    @router.post(
        "/maintenance-windows",
        summary="Make a maintenance window",
        description="Of a meter, a property, a gateway, or without any of these of the whole tenant: once, from "
        "`starts_at` until `ends_at`, or on `weekdays`. While it is open subscribers by webhook and mail are not told "
        "of new silence: what lasts when it ends they are told then, what is over they are not told at all. Alerts are "
        f"opened and listed as always. A tenant with {MOST} windows that are not over gets a 409.",
        status_code=201,
        response_model=MaintenanceWindow,
        responses={201: {"headers": LOCATION}, **problems(409)},
    )
    async def make_window(
        caller: Annotated[Caller, Depends(writer)],
        wanted: Annotated[MaintenanceWindowBody, Depends(JsonBody(MaintenanceWindowBody))],
    ) -> Response:
        with _refusing():
            made = await create_window(
                database, reach=caller.reach, wanted=checked(wanted), who=caller.subject, now=clock()
            )
        answer = json_answer(made, status_code=201)
        answer.headers["Location"] = f"/maintenance-windows/{made.id}"
        return answer

    @router.get(
        "/maintenance-windows/{window_id}",
        summary="One maintenance window",
        description="As it was last written.",
        response_model=MaintenanceWindow,
        responses=problems(404, missing=MISSING),
    )
    async def get_window(caller: Annotated[Caller, Depends(reader)], window_id: WindowPath) -> Response:
        return _answer(await one_window(database, reach=caller.reach, window_id=window_id))

    @router.put(
        "/maintenance-windows/{window_id}",
        summary="Replace a maintenance window",
        description="As a whole: what is left out has its default, and what it is of may be another. It holds at once: "
        "what it held before, and no longer does, is told.",
        response_model=MaintenanceWindow,
        responses=problems(404, missing=MISSING),
    )
    async def put_window(
        caller: Annotated[Caller, Depends(writer)],
        window_id: WindowPath,
        wanted: Annotated[MaintenanceWindowBody, Depends(JsonBody(MaintenanceWindowBody))],
    ) -> Response:
        with _refusing():
            written = await replace_window(
                database,
                reach=caller.reach,
                window_id=window_id,
                wanted=checked(wanted),
                who=caller.subject,
                now=clock(),
            )
        return _answer(written)

    @router.delete(
        "/maintenance-windows/{window_id}",
        summary="Remove a maintenance window",
        description="What it held is told at once.",
        status_code=204,
        response_class=Response,
        responses=problems(404, missing=MISSING),
    )
    async def delete_window(caller: Annotated[Caller, Depends(writer)], window_id: WindowPath) -> Response:
        with _refusing():
            if not await remove_window(database, reach=caller.reach, window_id=window_id):
                raise ProblemError(404, NO_SUCH)
        return Response(status_code=204)

    return router


@contextmanager
def _refusing() -> Iterator[None]:
    """Answer what a change is refused for."""
    try:
        yield
    except BeyondReachError:
        raise ProblemError(403, NARROWED) from None
    except NoTargetError as error:
        raise BadFieldsError([FieldError("body", error.field, str(error))]) from None
    except TooManyWindowsError:
        raise ProblemError(
            409, f"There are {MOST} windows already that are not over. Remove those that are not needed."
        ) from None


def _answer(window: MaintenanceWindow | None) -> Response:
    if window is None:
        raise ProblemError(404, NO_SUCH)
    return json_answer(window)
