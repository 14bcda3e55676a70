"""Builds ingest from its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider

from services.ingest.consumer import GatewayMessages
from services.ingest.database_time import DatabaseTime
from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.flow_metrics import FlowMetrics
from services.ingest.intake import Intake
from services.ingest.metrics import IngestMetrics
from services.ingest.replaying import Replaying
from services.ingest.settings import IngestSettings
from services.ingest.summarising import Summarising
from services.ingest.window import Window
from services.ingest.writer import ReadingWriter
from shared import topology
from shared.asyncapi.published import published_document
from shared.broker import check, create_broker, running
from shared.clock import Clock, utc_now
from shared.database_errors import refuses_data, suspects_data
from shared.group_commit import GroupCommit
from shared.http.app import create_http_app
from shared.http.asyncapi import asyncapi_router
from shared.queue_depths import QueueDepths
from shared.service_database import ServiceDatabase
from shared.telemetry import create_registry
from shared.tracing import exporting, tracer_provider

QUEUES = (topology.DEAD_LETTERS_QUEUE, topology.INGEST_QUEUE)


def create_app(settings: IngestSettings, *, clock: Clock = utc_now, tracers: TracerProvider | None = None) -> FastAPI:
    """The service: an HTTP face for health and metrics, and the consumer for as long as that lives.

    Spans go to `tracers`, else to where the environment says (`shared.tracing`).
    """
    tracers = tracers or tracer_provider("mbus-ingest")
    metrics_registry = create_registry()
    metrics = IngestMetrics(metrics_registry)
    flow = FlowMetrics(metrics_registry)
    database = ServiceDatabase(settings.database_url.get_secret_value(), service_role="mbus_ingest")
    time = DatabaseTime(clock)
    broker_url = settings.broker_url.get_secret_value()
    # For publishing only: it has no handlers for which a stop would wait.
    broker = create_broker(broker_url, app_id="mbus-ingest", prefetch=1, graceful_timeout_s=0)
    summarising = Summarising(database)
    depths = QueueDepths(broker, QUEUES, metrics_registry)
    writer = ReadingWriter(database, broker, metrics, flow, time, tracer=tracers.get_tracer(__name__))
    replaying = Replaying(database, broker, metrics, time.now, interval_s=settings.replay_interval_s)
    commits = GroupCommit[GatewayDelivery, DeadLetter | None](
        writer.write,
        weigh=lambda delivery: len(delivery.body),
        max_weight=settings.batch_bytes,
        writers=settings.writers,
        refuses_data=refuses_data,
        suspects_data=suspects_data,
        on_failure=flow.write_failed,
    )
    flow.watch(commits, time.now)
    messages = GatewayMessages(broker, commits, metrics, time.now, trust_stamps=settings.trust_broker_stamps)
    intake = Intake(
        broker_url,
        database,
        time,
        queue=topology.INGEST_QUEUE,
        declared=QUEUES,
        window=Window(most_messages=settings.prefetch, most_bytes=settings.in_hand_bytes),
        grace_s=settings.grace_period_s,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # The intake ends first: what is in hand still needs the writers, and these the broker to tell.
        async with (
            exporting(tracers),
            database.open(),
            running(broker, broker_url, queues=QUEUES, exchanges=(topology.EVENTS,)),
            depths.running(),
            replaying.running(),
            summarising.running(),
            commits.running(),
            intake.running(messages.begin),
        ):
            yield

    app = create_http_app(
        title="M-Bus ingest",
        description="Stores what gateways publish. This is its health and its metrics; readings come by RabbitMQ.",
        lifespan=lifespan,
        readiness={
            "database": database.check,
            "broker": lambda: check(broker),
            "intake": intake.check,
            "writes": commits.check,
        },
        registry=metrics_registry,
    )
    app.include_router(asyncapi_router(published_document()))
    return app
