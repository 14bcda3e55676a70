"""Traces: the W3C context that came with a message goes on with what is made of it; spans go to a collector, if any.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` no span is made, and the context is passed on as it came. With it the standard
`OTEL_…` variables of OpenTelemetry say where spans go, which are sampled, and what the service is called.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    NoOpTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    Tracer,
    TracerProvider,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"

LONGEST_HEADER = 512
"""Characters of a tracestate that everyone must pass on (W3C Trace Context, 3.3.1.5). A traceparent has 55."""
MOST_LINKS = 127
"""One span links to so many others at most; the rest of a batch can be found by the event."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
END_S = 3.0
"""How long a stop waits for the last spans to be taken."""

_PROPAGATOR = TraceContextTextMapPropagator()


def tracer_provider(service: str, env: Mapping[str, str] = os.environ) -> TracerProvider:
    """Spans for the collector that `env` names, in the name of `service`; none where it names none."""
    if not any(env.get(name) for name in ENDPOINTS):
        return NoOpTracerProvider()
    # Only here: it costs memory that a service without a collector need not spend.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    attributes = {} if env.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    provider = SdkTracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


@asynccontextmanager
async def exporting(provider: TracerProvider) -> AsyncIterator[None]:
    """Let the last spans out when the block ends, for at most `END_S` seconds: the collector may be away."""
    try:
        yield
    finally:
        shutdown = getattr(provider, "shutdown", None)
        if shutdown is not None:
            # A thread that nobody has to wait for.
            ending = threading.Thread(target=shutdown, daemon=True)
            ending.start()
            await asyncio.to_thread(ending.join, END_S)


def context_of(headers: Mapping[str, Any]) -> SpanContext | None:
    """The trace context in a message's headers; None where there is none that is good, whatever stands there."""
    parent = headers.get(TRACEPARENT)
    if not isinstance(parent, str) or len(parent) > LONGEST_HEADER:
        return None
    carrier = {TRACEPARENT: parent}
    state = headers.get(TRACESTATE)
    if isinstance(state, str) and len(state) <= LONGEST_HEADER:
        carrier[TRACESTATE] = state
    found = get_current_span(_PROPAGATOR.extract(carrier, Context())).get_span_context()
    return found if found.is_valid else None


def carried(context: SpanContext) -> dict[str, str]:
    """`traceparent`, and `tracestate` where there is one, for a message; nothing for no trace."""
    carrier: dict[str, str] = {}
    if context.is_valid:
        _PROPAGATOR.inject(carrier, set_span_in_context(NonRecordingSpan(context), Context()))
    return carrier


@contextmanager
def span(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    *,
    parent: SpanContext | None,
    links: Iterable[SpanContext] = (),
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[Span]:
    """A span for as long as the block lasts; a child of `parent`, or the first of its trace."""
    known = INVALID_SPAN if parent is None else NonRecordingSpan(parent)
    begun = tracer.start_span(
        name,
        context=set_span_in_context(known, Context()),
        kind=kind,
        links=[Link(link) for link in list(links)[:MOST_LINKS]],
        attributes=attributes,
    )
    with use_span(begun, end_on_exit=True):
        yield begun


@contextmanager
def within(context: SpanContext | None) -> Iterator[None]:
    """Let log lines of the block tell the trace; for what goes wrong with one message."""
    if context is None:
        yield
        return
    with use_span(NonRecordingSpan(context)):
        yield
