"""`GET /alerts` and `GET /alerts/{id}`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.alerts.queries.alert_fields import ALERT_EXAMPLE
from services.alerts.queries.alerts import Alert, AlertFilters, AlertsPage, AlertState, alerts_page, one_alert
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.fields import GATEWAY_EXAMPLE, INSTALLATION_EXAMPLE, PROPERTY_EXAMPLE, TIME_EXAMPLE
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import ProblemError, problems
from shared.http.repeated import TIMES_MAX, GatewayId
from shared.http.tenant_database import TenantDatabase
from shared.http.times import Time
from shared.http.tokens import Caller
from shared.models import AlertType, Medium

ONE = "/alerts/{alert_id:uuid}"
"""`/alerts/acknowledge` is no value of it, so that a method which that has not is a 405."""

AlertPath = Annotated[UUID, Path(description="Which one.", examples=[ALERT_EXAMPLE])]


async def which_alerts(
    *,
    state: Annotated[
        AlertState, Query(description="`open`: those that last; `closed`: those that ended; `all`: both.")
    ] = AlertState.OPEN,
    type: Annotated[  # noqa: A002 - its name in the URL
        tuple[AlertType, ...], Query(max_length=TIMES_MAX, description="Of one of these types.")
    ] = (),
    installation_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="Of one of these meters.", examples=[[INSTALLATION_EXAMPLE]]),
    ] = (),
    gateway_id: Annotated[
        tuple[GatewayId, ...],
        Query(
            max_length=TIMES_MAX,
            description="Of one of these gateways, or of a meter that is expected to be heard by one.",
            examples=[[GATEWAY_EXAMPLE]],
        ),
    ] = (),
    property_id: Annotated[
        tuple[UUID, ...],
        Query(
            max_length=TIMES_MAX,
            description="Of a meter in one of these properties, or of a gateway that meters there are expected by.",
            examples=[[PROPERTY_EXAMPLE]],
        ),
    ] = (),
    medium: Annotated[
        tuple[Medium, ...], Query(max_length=TIMES_MAX, description="Of a meter that measures one of these.")
    ] = (),
    acknowledged: Annotated[bool | None, Query(description="That somebody has acknowledged, or nobody has.")] = None,
    snoozed: Annotated[bool | None, Query(description="That are snoozed now, or are not.")] = None,
    opened_after: Annotated[
        Time | None, Query(description="Raised later than this time.", examples=[TIME_EXAMPLE])
    ] = None,
    opened_before: Annotated[
        Time | None, Query(description="Raised earlier than this time.", examples=[TIME_EXAMPLE])
    ] = None,
) -> AlertFilters:
    """The filters of the list."""
    return AlertFilters(
        state=state,
        types=frozenset(type),
        installation_ids=frozenset(installation_id),
        gateway_ids=frozenset(gateway_id),
        property_ids=frozenset(property_id),
        media=frozenset(medium),
        acknowledged=acknowledged,
        snoozed=snoozed,
        opened_after=opened_after,
        opened_before=opened_before,
    )


def alerts_router(database: TenantDatabase, reader: Authenticate, *, clock: Clock) -> APIRouter:
    """Routes that read alerts; `reader` is the caller that may."""
    router = APIRouter(tags=["alerts"])

    @router.get(
        "/alerts",
        summary="Alerts, newest first",
        description="The open ones, unless `state` says otherwise. All filters hold at once; of one that is repeated, "
        "any. An alert stays where it is in the list while it is acknowledged, snoozed or closed.",
        response_model=AlertsPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_alerts(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[AlertFilters, Depends(which_alerts)],
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await alerts_page(database, reach=caller.reach, filters=filters, cursor=cursor, limit=limit, now=clock())
        return page_answer(request, page)

    @router.get(
        ONE,
        summary="One alert",
        description="Open or closed.",
        response_model=Alert,
        responses=problems(404, missing="alert"),
    )
    async def get_alert(caller: Annotated[Caller, Depends(reader)], alert_id: AlertPath) -> Response:
        found = await one_alert(database, reach=caller.reach, alert_id=alert_id, now=clock())
        if found is None:
            raise ProblemError(404, "No such alert.")
        return json_answer(found)

    return router
