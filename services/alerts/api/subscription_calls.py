"""`POST /subscriptions/{id}/test` and `POST /subscriptions/{id}/rotate-secret`."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.alerts.api.subscriptions import MISSING, ONE, SubscriptionPath
from services.alerts.operations.subscriptions import (
    TEST_EACH,
    DisabledError,
    NoSecretError,
    TestedError,
    rotate_secret,
    send_test,
)
from services.alerts.queries.subscription_fields import KEEP_PREVIOUS_MAX, NewSecret, RotationBody, TestDelivery
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.bodies import JsonBody
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.tenant_database import TenantDatabase
from shared.http.tokens import Caller


def subscription_calls_router(
    database: TenantDatabase, writer: Authenticate, *, new_secret: Callable[[], str], clock: Clock
) -> APIRouter:
    """What else can be asked of a subscription; `writer` is the callers that may."""
    router = APIRouter(tags=["subscriptions"])

    @router.post(
        f"{ONE}/test",
        summary="Send a test",
        description="An event of type `subscription.test`, at once. `/deliveries` says what became of it. While one is "
        f"on its way, and for {TEST_EACH.seconds} s after it was made, another is a 409.",
        status_code=202,
        response_model=TestDelivery,
        responses=MISSING | problems(409),
    )
    async def test_subscription(
        caller: Annotated[Caller, Depends(writer)], subscription_id: SubscriptionPath
    ) -> Response:
        try:
            made = await send_test(database, reach=caller.reach, subscription_id=subscription_id, now=clock())
        except DisabledError:
            raise ProblemError(409, "The subscription is disabled: `disabled_because` says why.") from None
        except TestedError:
            raise ProblemError(409, f"A test is on its way, or was within {TEST_EACH.seconds} s.") from None
        if made is None:
            raise ProblemError(404, "No such subscription.")
        return json_answer(TestDelivery(made), status_code=202)

    @router.post(
        f"{ONE}/rotate-secret",
        summary="Exchange the secret of a webhook",
        description="Messages are signed with the new secret from now on, and with the one before it for as long as "
        "`keep_previous` says, so that a receiver can go over from one to the other. A mail has none: a 409.",
        response_model=NewSecret,
        responses=MISSING | problems(409),
    )
    async def rotate(
        caller: Annotated[Caller, Depends(writer)],
        subscription_id: SubscriptionPath,
        body: Annotated[RotationBody, Depends(JsonBody(RotationBody, default=RotationBody()))],
    ) -> Response:
        if body.keep_previous > KEEP_PREVIOUS_MAX:
            raise BadFieldsError([FieldError("body", "keep_previous", f"must be at most P{KEEP_PREVIOUS_MAX.days}D")])
        now, secret = clock(), new_secret()
        until = now + body.keep_previous
        try:
            found = await rotate_secret(
                database,
                reach=caller.reach,
                subscription_id=subscription_id,
                secret=secret,
                keep_until=until,
                now=now,
            )
        except NoSecretError:
            raise ProblemError(409, "It is told by mail, which is not signed.") from None
        if not found:
            raise ProblemError(404, "No such subscription.")
        return json_answer(NewSecret(secret, until))

    return router
