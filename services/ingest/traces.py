"""The spans of a commit, and whose trace its events go on with.

A commit merges messages of many traces. Its span continues the first one's; the event of a tenant continues that of
the tenant's first message that has one. The others are linked, as OpenTelemetry's conventions for messaging have it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from opentelemetry.trace import SpanContext, SpanKind, Tracer, get_current_span

from services.ingest.delivery import GatewayDelivery
from shared import topology
from shared.messages.readings_stored import ReadingsStoredEvent
from shared.tracing import TRACEPARENT, TRACESTATE, carried, span

SYSTEM = {"messaging.system": "rabbitmq"}


@contextmanager
def commit_span(tracer: Tracer, deliveries: Sequence[GatewayDelivery]) -> Iterator[None]:
    """The span of a commit of `deliveries`."""
    traces = [delivery.trace for delivery in deliveries if delivery.trace is not None]
    attributes: dict[str, str | int] = {
        **SYSTEM,
        "messaging.operation.type": "process",
        "messaging.operation.name": "store",
        "messaging.destination.name": topology.INGEST_READINGS,
        "messaging.batch.message_count": len(deliveries),
    }
    with span(
        tracer,
        f"store {topology.INGEST_READINGS}",
        SpanKind.CONSUMER,
        parent=traces[0] if traces else None,
        links=traces[1:],
        attributes=attributes,
    ):
        yield


@contextmanager
def event_span(
    tracer: Tracer, event: ReadingsStoredEvent, deliveries: Sequence[GatewayDelivery]
) -> Iterator[tuple[ReadingsStoredEvent, dict[str, str]]]:
    """The span of publishing `event`, within the commit's: the event with its trace, and the headers that carry it."""
    commit = get_current_span().get_span_context()
    traced = [delivery for delivery in deliveries if delivery.trace is not None]
    gateways = set(event.data.gateways)
    own = [delivery.trace for delivery in traced if delivery.trace is not None and delivery.gateway_id in gateways]
    parent, links = _parent_and_links(commit, own, others_have_traces=bool(traced))
    attributes = {
        **SYSTEM,
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.destination.name": topology.EVENTS,
        "messaging.message.id": event.id,
    }
    with span(
        tracer, f"publish {topology.EVENTS}", SpanKind.PRODUCER, parent=parent, links=links, attributes=attributes
    ) as begun:
        headers = carried(begun.get_span_context())
        if headers:
            event = msgspec.structs.replace(
                event,
                traceparent=headers[TRACEPARENT],
                tracestate=headers.get(TRACESTATE, msgspec.UNSET),
            )
        yield event, headers


def _parent_and_links(
    commit: SpanContext, own: Sequence[SpanContext], *, others_have_traces: bool
) -> tuple[SpanContext | None, list[SpanContext]]:
    """A tenant's event never goes on with the trace of another's message."""
    known = [commit] if commit.is_valid else []
    if not own:
        return (None, known) if others_have_traces else (commit if known else None, [])
    if own[0].trace_id == commit.trace_id:
        return commit, list(own[1:])
    return own[0], [*known, *own[1:]]
