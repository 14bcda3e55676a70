"""`POST /alerts/{id}/acknowledge`, `POST /alerts/{id}/snooze` and `DELETE /alerts/{id}/snooze`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from services.alerts.api.alerts import AlertPath
from services.alerts.operations.alert_marks import ClosedAlertError, acknowledge, snooze, unsnooze
from services.alerts.queries.alert_fields import NOTE_EXAMPLE, SNOOZED_EXAMPLE
from services.alerts.queries.alerts import Alert
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.bodies import STRICTLY, JsonBody, Text
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.tenant_database import TenantDatabase
from shared.http.times import Time
from shared.http.tokens import Caller

SNOOZE_MAX = timedelta(days=90)

Note = Annotated[Text | None, Field(description="What others should know; null for nothing.", examples=[NOTE_EXAMPLE])]
Until = Annotated[
    Time,
    Field(
        description=f"A time to come, up to {SNOOZE_MAX.days} days from now, with an offset.",
        examples=[SNOOZED_EXAMPLE],
    ),
]

CLOSED = "The alert is closed: `closed_because` says why."


@dataclass(frozen=True, slots=True)
class AcknowledgeBody:
    """Nothing need be said."""

    __pydantic_config__ = STRICTLY
    note: Note = None


@dataclass(frozen=True, slots=True)
class SnoozeBody:
    """For how long."""

    __pydantic_config__ = STRICTLY
    until: Until


def alert_marks_router(database: TenantDatabase, writer: Authenticate, *, clock: Clock) -> APIRouter:
    """Routes for what people say of alerts; `writer` is the caller that may."""
    router = APIRouter(tags=["alerts"])
    responses = problems(404, missing="alert") | problems(409)

    @router.post(
        "/alerts/{alert_id}/acknowledge",
        summary="Say that somebody has seen it",
        description="The `sub` of the token is who, and now is when. Once is enough: who was first stays, with the "
        "note, however often it is said again. Without a body there is no note. A closed alert is a 409.",
        response_model=Alert,
        responses=responses,
    )
    async def acknowledge_alert(
        caller: Annotated[Caller, Depends(writer)],
        alert_id: AlertPath,
        body: Annotated[AcknowledgeBody, Depends(JsonBody(AcknowledgeBody, default=AcknowledgeBody()))],
    ) -> Response:
        with _refusing_closed():
            alert = await acknowledge(
                database, reach=caller.reach, alert_id=alert_id, who=caller.subject, note=body.note, now=clock()
            )
        return _answer(alert)

    @router.post(
        "/alerts/{alert_id}/snooze",
        summary="Want to hear nothing of it for a while",
        description="`snoozed=false` leaves it out of the list until then. What was said before is replaced. It "
        "changes nothing else: the alert stays open, and its end is told. A closed alert is a 409.",
        response_model=Alert,
        responses=responses,
    )
    async def snooze_alert(
        caller: Annotated[Caller, Depends(writer)],
        alert_id: AlertPath,
        body: Annotated[SnoozeBody, Depends(JsonBody(SnoozeBody))],
    ) -> Response:
        now = clock()
        check_until(body.until, now)
        with _refusing_closed():
            alert = await snooze(
                database, reach=caller.reach, alert_id=alert_id, who=caller.subject, until=body.until, now=now
            )
        return _answer(alert)

    @router.delete(
        "/alerts/{alert_id}/snooze",
        summary="End a snooze",
        description="Also where there is none. A closed alert is a 409.",
        response_model=Alert,
        responses=responses,
    )
    async def unsnooze_alert(caller: Annotated[Caller, Depends(writer)], alert_id: AlertPath) -> Response:
        with _refusing_closed():
            alert = await unsnooze(database, reach=caller.reach, alert_id=alert_id, now=clock())
        return _answer(alert)

    return router


def check_until(until: datetime, now: datetime) -> None:
    """Raise `BadFieldsError` unless a snooze may end then."""
    if not now < until <= now + SNOOZE_MAX:
        must_be = f"must be a time to come, up to {SNOOZE_MAX.days} days from now"
        raise BadFieldsError([FieldError("body", "until", must_be)])


@contextmanager
def _refusing_closed() -> Iterator[None]:
    try:
        yield
    except ClosedAlertError:
        raise ProblemError(409, CLOSED) from None


def _answer(alert: Alert | None) -> Response:
    if alert is None:
        raise ProblemError(404, "No such alert.")
    return json_answer(alert)
