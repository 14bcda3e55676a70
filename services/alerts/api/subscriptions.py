"""`/subscriptions`: who is told of alerts by webhook or mail, and of which."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from services.alerts.operations.subscriptions import (
    AT_MOST,
    BeyondReachError,
    NoPropertyError,
    OtherWayError,
    TooManyError,
    create_subscription,
    remove_subscription,
    replace_subscription,
)
from services.alerts.queries.subscription_fields import (
    SUBSCRIPTION_EXAMPLE,
    NewSubscription,
    Subscription,
    SubscriptionBody,
)
from services.alerts.queries.subscriptions import SubscriptionsPage, one_subscription, subscriptions_page
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.bodies import JsonBody
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.tenant_database import TenantDatabase
from shared.http.tokens import Caller

SubscriptionPath = Annotated[UUID, Path(description="Which one.", examples=[SUBSCRIPTION_EXAMPLE])]

ONE = "/subscriptions/{subscription_id}"
MISSING = problems(404, missing="subscription")

NARROWED = "The token is narrowed to some properties: its subscriptions name properties, and only such."
LOCATION = {
    "Location": {"description": "Where it is.", "required": True, "schema": {"type": "string"}},
}

Checked = Callable[[SubscriptionBody], SubscriptionBody]
"""What is wanted, with URL or address in its one spelling; raises `BadFieldsError`."""


def subscriptions_router(
    database: TenantDatabase,
    reader: Authenticate,
    writer: Authenticate,
    *,
    checked: Checked,
    new_secret: Callable[[], str],
    clock: Clock,
) -> APIRouter:
    """Routes about subscriptions; `reader` and `writer` are the callers that may read and change them."""
    router = APIRouter(tags=["subscriptions"])

    @router.get(
        "/subscriptions",
        summary="Subscriptions",
        description="Those within reach: a token that is narrowed sees those that name properties, and only such as it "
        "is narrowed to.",
        response_model=SubscriptionsPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_subscriptions(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await subscriptions_page(database, reach=caller.reach, cursor=cursor, limit=limit)
        return page_answer(request, page)

    @router.post(
        "/subscriptions",
        summary="Make a subscription",
        description="By webhook, with `url`, or by mail, with `mail_address`. It is told what happens from now on. "
        f"A webhook's answer has the `secret` that its messages are signed with, this once. At most "
        f"{AT_MOST} a tenant.",
        status_code=201,
        response_model=NewSubscription,
        responses={201: {"headers": LOCATION}, **problems(409)},
    )
    async def make_subscription(
        caller: Annotated[Caller, Depends(writer)],
        body: Annotated[SubscriptionBody, Depends(JsonBody(SubscriptionBody))],
    ) -> Response:
        wanted = checked(body)
        with _refusing():
            made = await create_subscription(
                database,
                reach=caller.reach,
                wanted=wanted,
                secret=None if wanted.url is None else new_secret(),
                who=caller.subject,
                now=clock(),
            )
        answer = json_answer(made, status_code=201)
        answer.headers["Location"] = f"/subscriptions/{made.id}"
        return answer

    @router.get(
        ONE,
        summary="One subscription",
        description="As it was last written, and whether what is sent arrives.",
        response_model=Subscription,
        responses=MISSING,
    )
    async def get_subscription(
        caller: Annotated[Caller, Depends(reader)], subscription_id: SubscriptionPath
    ) -> Response:
        return _answer(await one_subscription(database, reach=caller.reach, subscription_id=subscription_id))

    @router.put(
        ONE,
        summary="Replace a subscription",
        description="As a whole: what is left out has its default. A webhook stays one, and so does a mail. What waits "
        "for one that is disabled is dropped; once it is enabled, it is told what happens from then on.",
        response_model=Subscription,
        responses=MISSING | problems(409),
    )
    async def put_subscription(
        caller: Annotated[Caller, Depends(writer)],
        subscription_id: SubscriptionPath,
        body: Annotated[SubscriptionBody, Depends(JsonBody(SubscriptionBody))],
    ) -> Response:
        with _refusing():
            written = await replace_subscription(
                database,
                reach=caller.reach,
                subscription_id=subscription_id,
                wanted=checked(body),
                who=caller.subject,
                now=clock(),
            )
        return _answer(written)

    @router.delete(
        ONE,
        summary="Remove a subscription",
        description="Nothing more is sent; what waits for it is dropped. The log of its deliveries stays.",
        status_code=204,
        response_class=Response,
        responses=MISSING,
    )
    async def delete_subscription(
        caller: Annotated[Caller, Depends(writer)], subscription_id: SubscriptionPath
    ) -> Response:
        if not await remove_subscription(
            database, reach=caller.reach, subscription_id=subscription_id, who=caller.subject, now=clock()
        ):
            raise ProblemError(404, "No such subscription.")
        return Response(status_code=204)

    return router


@contextmanager
def _refusing() -> Iterator[None]:
    """Answer what a change is refused for."""
    try:
        yield
    except BeyondReachError:
        raise ProblemError(403, NARROWED) from None
    except NoPropertyError:
        raise BadFieldsError([FieldError("body", "property_ids", "there is no such property")]) from None
    except TooManyError:
        raise ProblemError(409, f"There are {AT_MOST} subscriptions already: remove one.") from None
    except OtherWayError:
        raise ProblemError(409, "A webhook stays a webhook, and a mail a mail: make another subscription.") from None


def _answer(subscription: Subscription | None) -> Response:
    if subscription is None:
        raise ProblemError(404, "No such subscription.")
    return json_answer(subscription)
