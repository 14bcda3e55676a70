"""The trace context in headers: taken where it is good, passed on as it came, and of no harm whatever stands there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.trace import NoOpTracerProvider, SpanKind

from shared.tracing import carried, context_of, exporting, span, tracer_provider

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

BAD: dict[str, Any] = {
    "nothing": None,
    "no text": 17,
    "bytes": PARENT.encode(),
    "a table": {"a": 1},
    "empty": "",
    "words": "not a trace",
    "no trace id": f"00-{'0' * 32}-b7ad6b7169203331-01",
    "no span id": f"00-{TRACE}-{'0' * 16}-01",
    "a forbidden version": f"ff-{TRACE}-b7ad6b7169203331-01",
    "more than version 00 has": PARENT + "-more",
    "upper case": PARENT.upper(),
    "a megabyte": "0" * 1_000_000,
}


def test_a_context_is_passed_on_as_it_came_where_no_collector_is_configured() -> None:
    headers = {"traceparent": PARENT, "tracestate": "vendor=1,other=2"}
    tracer = tracer_provider("test", {}).get_tracer("test")
    with span(tracer, "work", SpanKind.CONSUMER, parent=context_of(headers)) as begun:
        assert carried(begun.get_span_context()) == headers
    with span(tracer, "work", SpanKind.CONSUMER, parent=None) as begun:
        assert carried(begun.get_span_context()) == {}


@pytest.mark.parametrize("odd", BAD)
def test_a_traceparent_that_is_none_is_no_context(odd: str) -> None:
    assert context_of({"traceparent": BAD[odd], "tracestate": "a=1"}) is None


@pytest.mark.parametrize("state", [b"a=1", 17, "=,=", "a=1," * 1000, "\x00", None], ids=repr)
def test_an_odd_tracestate_is_left_out_and_the_trace_goes_on(state: Any) -> None:
    context = context_of({"traceparent": PARENT, "tracestate": state})
    assert context is not None
    assert carried(context) == {"traceparent": PARENT}


@given(st.text(max_size=60), st.text(max_size=600))
def test_no_text_in_the_headers_does_harm(parent: str, state: str) -> None:
    context_of({"traceparent": parent, "tracestate": state})
    context = context_of({"traceparent": PARENT, "tracestate": state})
    assert context is not None
    assert carried(context)["traceparent"] == PARENT


async def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("shared.tracing.END_S", 0.2)
    provider = tracer_provider("test")
    assert isinstance(provider, SdkTracerProvider)
    assert provider.resource.attributes["service.name"] == "test"
    async with exporting(provider):
        with span(provider.get_tracer("test"), "work", SpanKind.CONSUMER, parent=None) as begun:
            assert begun.is_recording()


def test_without_a_collector_there_are_no_spans() -> None:
    assert isinstance(tracer_provider("test", {}), NoOpTracerProvider)
