"""`/deliveries`: what became of the events that were to be sent to subscriptions, and sending them again."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.alerts.operations.redelivery import BeingRemovedError, SilentSubscriptionError, redeliver
from services.alerts.queries.alert_fields import ALERT_EXAMPLE
from services.alerts.queries.deliveries import DeliveriesPage, DeliveryFilters, deliveries_page, one_delivery
from services.alerts.queries.delivery_fields import (
    DELIVERY_EXAMPLE,
    DeliveredType,
    Delivery,
    DeliveryState,
)
from services.alerts.queries.subscription_fields import SUBSCRIPTION_EXAMPLE
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.fields import TIME_EXAMPLE
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import ProblemError, problems
from shared.http.repeated import TIMES_MAX
from shared.http.tenant_database import TenantDatabase
from shared.http.times import Time
from shared.http.tokens import Caller

DeliveryPath = Annotated[UUID, Path(description="Which one.", examples=[DELIVERY_EXAMPLE])]

NO_SUCH = "No such delivery."


async def which_deliveries(
    *,
    subscription_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="To one of these.", examples=[[SUBSCRIPTION_EXAMPLE]]),
    ] = (),
    state: Annotated[
        tuple[DeliveryState, ...],
        Query(
            max_length=TIMES_MAX,
            description="`pending`: still to arrive; `delivered`; `dropped`: tried no more.",
        ),
    ] = (),
    event_type: Annotated[
        tuple[DeliveredType, ...], Query(max_length=TIMES_MAX, description="Of one of these types.")
    ] = (),
    alert_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="Of one of these alerts.", examples=[[ALERT_EXAMPLE]]),
    ] = (),
    from_: Annotated[
        Time | None, Query(alias="from", description="Made at this time or later.", examples=[TIME_EXAMPLE])
    ] = None,
    to: Annotated[Time | None, Query(description="Made earlier than this time.", examples=[TIME_EXAMPLE])] = None,
) -> DeliveryFilters:
    """The filters of the list."""
    return DeliveryFilters(
        subscription_ids=frozenset(subscription_id),
        states=frozenset(state),
        types=frozenset(event_type),
        alert_ids=frozenset(alert_id),
        made_from=from_,
        made_to=to,
    )


def deliveries_router(database: TenantDatabase, reader: Authenticate, writer: Authenticate) -> APIRouter:
    """Routes about deliveries; `reader` and `writer` are the callers that may read, and have something sent again."""
    router = APIRouter(tags=["deliveries"])

    @router.get(
        "/deliveries",
        summary="Deliveries, newest first",
        description="By when their events were made: one for each event and subscription. All filters hold at once; of "
        "one that is repeated, any. A delivery stays where it is in the list whatever becomes of it; some time after "
        "it was delivered or dropped it is removed.",
        response_model=DeliveriesPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_deliveries(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[DeliveryFilters, Depends(which_deliveries)],
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await deliveries_page(database, reach=caller.reach, filters=filters, cursor=cursor, limit=limit)
        return page_answer(request, page)

    @router.get(
        "/deliveries/{delivery_id}",
        summary="One delivery",
        description="As it stands now.",
        response_model=Delivery,
        responses=problems(404, missing="delivery"),
    )
    async def get_delivery(caller: Annotated[Caller, Depends(reader)], delivery_id: DeliveryPath) -> Response:
        found = await one_delivery(database, reach=caller.reach, delivery_id=delivery_id)
        if found is None:
            raise ProblemError(404, NO_SUCH)
        return json_answer(found)

    @router.post(
        "/deliveries/{delivery_id}/redeliver",
        summary="Send it again",
        description="Under the same id, by which a receiver knows what it has already: what was delivered, or dropped "
        "for whatever reason. What went out in a digest goes again as that digest. What is pending is tried now, also "
        "if it waits for others, for the end of a maintenance window, or after failures. Where the subscription is "
        "disabled or removed it is a 409.",
        status_code=202,
        response_model=Delivery,
        responses=problems(404, missing="delivery") | problems(409),
    )
    async def redeliver_delivery(caller: Annotated[Caller, Depends(writer)], delivery_id: DeliveryPath) -> Response:
        try:
            delivery = await redeliver(database, reach=caller.reach, delivery_id=delivery_id)
        except SilentSubscriptionError as error:
            raise ProblemError(409, str(error)) from None
        except BeingRemovedError:
            raise ProblemError(409, "It is too old: what it went out with is being removed.") from None
        if delivery is None:
            raise ProblemError(404, NO_SUCH)
        return json_answer(delivery, status_code=202)

    return router
