"""`GET /alerts/stream`."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from services.alerts.live import LiveStreams
from services.alerts.queries.stream import Live, StreamFilters
from shared.http.authentication import Authenticate
from shared.http.cursors import CursorError
from shared.http.event_stream import EVENT_STREAM, EventStream
from shared.http.fields import PROPERTY_EXAMPLE
from shared.http.pages import CURSOR_MAX_CHARACTERS
from shared.http.problems import FieldError, ProblemError, problems
from shared.http.repeated import TIMES_MAX
from shared.http.tokens import Caller
from shared.messages.alert_events import AlertEventType
from shared.models import Medium

PLACE_EXAMPLE = "mEyDo5WvXSVbMTc5MzUwMTEwMDAwMDAwMV0"

DESCRIPTION = """\
The events of your tenant as they come, as server-sent events (`text/event-stream`), for as long as you listen. `event`
is the type, `data` the CloudEvent as one line of JSON, the same that subscribers on the broker get; of a gateway a
narrowed token is told only the meters within its reach, as they are when it is told. `id` is where to go on: a client
that sends the last one as `Last-Event-ID`, which `EventSource` does by itself, or as `after`, gets what came since:
nothing is left out, and nothing told twice. Without one it begins with what comes from now on. An `id` without an event
is one too.

Each 15 s there is a comment at least. The answer ends, and you connect anew, when the service stops, when the token
expires, and after four hours. An `id` is good for the same reach of the token, with the same filters.

It is a 410 where some of what came since is not kept any more: read `GET /alerts`, and begin without an `id`. A 429 is
of too many streams of your tenant, a 503 of too many in all."""

STREAM_EXAMPLE = f"""\
retry: 3120

id: {PLACE_EXAMPLE}

id: mEyDo5WvXSVbMTc5MzUwMTEwMDAwMDAwMl0
event: installation.recovered
data: {{"id": "0d6f6a0e-5b0f-4a3e-9d0c-6f1d2f6d9c11", "type": "installation.recovered", "source": "/mbus/alerts"}}

: alive

"""
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The stream.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}},
    }
}


async def which_events(
    *,
    type: Annotated[  # noqa: A002 - its name in the URL
        tuple[AlertEventType, ...], Query(max_length=TIMES_MAX, description="Of one of these types.")
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
) -> StreamFilters:
    """The filters of the stream."""
    return StreamFilters(frozenset(type), frozenset(property_id), frozenset(medium))


def stream_router(streams: LiveStreams, reader: Authenticate, *, stopping: asyncio.Event) -> APIRouter:
    """The route of the stream; `reader` is the caller that may read it, `stopping` ends them all."""
    router = APIRouter(tags=["alerts"])

    @router.get(
        "/alerts/stream",
        summary="Alert events as they come",
        description=DESCRIPTION,
        response_class=Response,
        responses={**STREAM, **problems(400, 410)},
    )
    async def stream_alerts(
        *,
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[StreamFilters, Depends(which_events)],
        after: Annotated[
            str | None,
            Query(
                max_length=CURSOR_MAX_CHARACTERS,
                description="The `id` to go on from, for clients that cannot send `Last-Event-ID`, which goes before.",
                examples=[PLACE_EXAMPLE],
            ),
        ] = None,
        last_event_id: Annotated[
            str | None,
            Header(
                alias="Last-Event-ID",
                description="The last `id` that came.",
                examples=[PLACE_EXAMPLE],
                json_schema_extra={"maxLength": CURSOR_MAX_CHARACTERS},  # longer ones are no id, as others are none
            ),
        ] = None,
    ) -> Response:
        live = Live(caller.reach, filters)
        number = _number(live, last_event_id=last_event_id, after=after)
        return EventStream(streams.pieces(live, after=number, expires_at=caller.expires_at), stopping=stopping)

    return router


def _number(live: Live, *, last_event_id: str | None, after: str | None) -> int | None:
    """The number to go on behind. A client that connects anew to the same URL has gone on from what stood there."""
    place = last_event_id or after
    if place is None:
        return None
    try:
        return live.number(place)
    except CursorError:
        reason = "is no id of this stream, or one with other filters or of a token with another reach"
        where = FieldError("header", "Last-Event-ID", reason) if last_event_id else FieldError("query", "after", reason)
        raise ProblemError(400, f"{where.field}: {reason}", errors=[where]) from None
