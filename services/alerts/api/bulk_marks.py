"""`POST /alerts/acknowledge`, `/alerts/snooze` and `/alerts/unsnooze`: of a meter, a property or a gateway at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from services.alerts.api.alert_marks import Note, Until, check_until
from services.alerts.operations.bulk_marks import MarkedAlerts, acknowledge_all, snooze_all, unsnooze_all
from services.alerts.operations.targets import NoTargetError, Target
from services.alerts.queries.window_fields import GATEWAY_ID
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.bodies import STRICTLY, JsonBody
from shared.http.fields import PROPERTY_EXAMPLE
from shared.http.problems import BadFieldsError, FieldError
from shared.http.tenant_database import TenantDatabase
from shared.http.tokens import Caller

OfInstallation = Annotated[
    UUID | None, Field(description="The meter whose alert it is; null where another is named.", examples=[None])
]
OfProperty = Annotated[
    UUID | None,
    Field(
        description="The property: the alerts of its meters, and of gateways all of whose meters are there; null where"
        " another is named.",
        examples=[PROPERTY_EXAMPLE],
    ),
]
OfGateway = Annotated[
    Annotated[str, Field(pattern=GATEWAY_ID)] | None,
    Field(
        description="The gateway: its alert, and those of the meters that are expected by it; null where another is"
        " named.",
        examples=[None],
    ),
]


@dataclass(frozen=True, slots=True)
class AcknowledgeAlertsBody:
    """Of what: one of the three."""

    __pydantic_config__ = STRICTLY
    installation_id: OfInstallation = None
    property_id: OfProperty = None
    gateway_id: OfGateway = None
    note: Note = None


@dataclass(frozen=True, slots=True)
class SnoozeAlertsBody:
    """Of what, one of the three, and for how long."""

    __pydantic_config__ = STRICTLY
    until: Until
    installation_id: OfInstallation = None
    property_id: OfProperty = None
    gateway_id: OfGateway = None


@dataclass(frozen=True, slots=True)
class UnsnoozeAlertsBody:
    """Of what: one of the three."""

    __pydantic_config__ = STRICTLY
    installation_id: OfInstallation = None
    property_id: OfProperty = None
    gateway_id: OfGateway = None


def bulk_marks_router(database: TenantDatabase, writer: Authenticate, *, clock: Clock) -> APIRouter:
    """Routes for what people say of many alerts at once; `writer` is the caller that may."""
    router = APIRouter(tags=["alerts"])

    @router.post(
        "/alerts/acknowledge",
        summary="Say that somebody has seen all of a meter, a property or a gateway",
        description="Each open alert of it within reach, as if one after the other: who was first stays. Alerts that "
        "are opened later are not acknowledged.",
        response_model=MarkedAlerts,
    )
    async def acknowledge_alerts(
        caller: Annotated[Caller, Depends(writer)],
        body: Annotated[AcknowledgeAlertsBody, Depends(JsonBody(AcknowledgeAlertsBody))],
    ) -> Response:
        with _refusing():
            found = await acknowledge_all(
                database, reach=caller.reach, target=_target(body), who=caller.subject, note=body.note, now=clock()
            )
        return json_answer(found)

    @router.post(
        "/alerts/snooze",
        summary="Want to hear nothing for a while of a meter, a property or a gateway",
        description="Each open alert of it within reach, as if one after the other: what was said before is replaced. "
        "Of alerts that are opened later subscribers are told; so that they are not, make a maintenance window.",
        response_model=MarkedAlerts,
    )
    async def snooze_alerts(
        caller: Annotated[Caller, Depends(writer)],
        body: Annotated[SnoozeAlertsBody, Depends(JsonBody(SnoozeAlertsBody))],
    ) -> Response:
        check_until(body.until, clock())
        with _refusing():
            found = await snooze_all(
                database, reach=caller.reach, target=_target(body), who=caller.subject, until=body.until
            )
        return json_answer(found)

    @router.post(
        "/alerts/unsnooze",
        summary="End the snoozes of a meter, a property or a gateway",
        description="Of each open alert of it within reach.",
        response_model=MarkedAlerts,
    )
    async def unsnooze_alerts(
        caller: Annotated[Caller, Depends(writer)],
        body: Annotated[UnsnoozeAlertsBody, Depends(JsonBody(UnsnoozeAlertsBody))],
    ) -> Response:
        with _refusing():
            found = await unsnooze_all(database, reach=caller.reach, target=_target(body))
        return json_answer(found)

    return router


def _target(body: AcknowledgeAlertsBody | SnoozeAlertsBody | UnsnoozeAlertsBody) -> Target:
    """What the body names; raises `BadFieldsError` unless that is one thing."""
    named = [name for name in ("installation_id", "property_id", "gateway_id") if getattr(body, name) is not None]
    if not named:
        missing = "is missing: give it, or property_id, or gateway_id"
        raise BadFieldsError([FieldError("body", "installation_id", missing)])
    if len(named) > 1:
        raise BadFieldsError([FieldError("body", named[1], f"is one too many: {named[0]} is given too")])
    return Target(body.installation_id, body.property_id, body.gateway_id)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NoTargetError as error:
        raise BadFieldsError([FieldError("body", error.field, str(error))]) from None
