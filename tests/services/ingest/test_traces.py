"""The trace of a gateway's message goes on to the event that tells of it, and on to alerts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.main import create_app as create_alerts
from services.alerts.settings import AlertsSettings
from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from shared import topology
from shared.messages.readings_stored import decode
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, publish_as_gateway
from tests.support.registry import Building, create_building
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost

FIRST, SECOND = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")


class Spans:
    """Keeps the spans that are made with `provider`."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@asynccontextmanager
async def ingest(database: Database, vhost: Vhost, spans: Spans | None = None) -> AsyncIterator[None]:
    settings = IngestSettings.model_validate({"database_url": database.ingest_url, "broker_url": vhost.ingest_url})
    app = create_app(settings, tracers=spans.provider if spans else None)
    async with app.router.lifespan_context(app):
        yield


@asynccontextmanager
async def alerts(database: Database, vhost: Vhost, spans: Spans) -> AsyncIterator[None]:
    settings = AlertsSettings.model_validate(
        {"database_url": database.alerts_url, "broker_url": vhost.alerts_url, "MBUS_JWT_SECRET": SECRET}
    )
    app = create_alerts(settings, tracers=spans.provider)
    async with app.router.lifespan_context(app):
        yield


def reading(building: Building, number: int = 0) -> dict[str, object]:
    return {
        "installation_id": str(building.installation_ids[number]),
        "timestamp": "2026-03-01T12:00:00Z",
        "value": 1,
    }


def ids(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


async def test_without_a_collector_the_context_of_the_message_is_that_of_the_event(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    headers = {"traceparent": FIRST, "tracestate": "vendor=1"}
    async with ingest(database, vhost):
        await publish_as_gateway(vhost.url, building.gateway_id, reading(building), headers=headers)
        message = await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
    assert {name: message.headers[name] for name in headers} == headers
    event = decode(message.body)
    assert (event.traceparent, event.tracestate) == (FIRST, "vendor=1")


@pytest.mark.parametrize("odd", [17, "garbage", "0" * 60_000, {"a": ["b"]}], ids=["number", "text", "long", "table"])
async def test_odd_headers_harm_nothing_and_an_event_without_a_trace_says_nothing_of_one(
    engine: AsyncEngine, database: Database, vhost: Vhost, odd: object
) -> None:
    building = await create_building(engine, meters=1)
    headers = {"traceparent": odd, "tracestate": odd}
    async with ingest(database, vhost):
        await publish_as_gateway(vhost.url, building.gateway_id, reading(building), headers=headers)
        message = await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
    assert not {"traceparent", "tracestate"} & (set(message.headers) | set(msgspec.json.decode(message.body)))


async def test_a_commit_is_a_span_of_the_first_trace_with_links_to_the_others_and_alerts_goes_on_with_it(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building, other, traceless = [await create_building(engine, meters=2) for _ in range(3)]
    spans = Spans()
    for sender, parent in ((building, FIRST), (building, FIRST), (other, SECOND), (traceless, None)):
        headers = {"traceparent": parent} if parent else None
        await publish_as_gateway(vhost.url, sender.gateway_id, reading(sender), headers=headers)

    async def told() -> bool:
        return len(spans.named("fold alerts.readings-stored")) == len(spans.named("publish events")) > 0

    async with alerts(database, vhost, spans), ingest(database, vhost, spans):
        await eventually(lambda: stored_all(spans, 4))
        await eventually(told)
    commits = {ids(span)[1]: span for span in spans.named("store ingest.readings")}
    published = {ids(span)[1]: span for span in spans.named("publish events")}
    traces = {ids(span)[0] for span in published.values()}
    # The third tenant's event has a trace of its own, or none's: never that of another tenant's message.
    assert {"a" * 32, "b" * 32} < traces
    for span in commits.values():
        assert span.attributes is not None
        seen = {f"{link.context.trace_id:032x}" for link in span.links} | {ids(span)[0]}
        assert seen & {"a" * 32, "b" * 32} or span.attributes["messaging.batch.message_count"] == 1
    for folded in spans.named("fold alerts.readings-stored"):
        assert folded.parent is not None
        assert ids(published[f"{folded.parent.span_id:016x}"])[0] == ids(folded)[0]


async def stored_all(spans: Spans, messages: int) -> bool:
    counts = [(span.attributes or {})["messaging.batch.message_count"] for span in spans.named("store ingest.readings")]
    return sum(count for count in counts if isinstance(count, int)) == messages
