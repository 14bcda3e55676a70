"""Builds alerts from its settings."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider

from services.alerts.api.app import callers_database, create_face
from services.alerts.consumer import register_consumer
from services.alerts.ingest_queue import IngestQueue
from services.alerts.mail.rendering import MailRenderer
from services.alerts.mail.sending import MailSender
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.folding import fold
from services.alerts.rounds import Rounds
from services.alerts.settings import AlertsSettings
from services.alerts.subscribers.by_mail import ByMail
from services.alerts.subscribers.by_webhook import ByWebhook
from services.alerts.subscribers.sender import Sender, Ways
from services.alerts.watch import Watch
from services.alerts.webhooks.client import WebhookClient
from shared import topology
from shared.broker import check, create_broker, running
from shared.clock import Clock, utc_now
from shared.database_errors import refuses_data, suspects_data
from shared.group_commit import GroupCommit
from shared.http.token_settings import token_keys
from shared.messages.readings_stored import ReadingsStored
from shared.models import InstallationState
from shared.telemetry import create_registry
from shared.tracing import exporting, tracer_provider

FOLD_AT_MOST = 20_000
"""Installations folded in one transaction."""

QUEUES = (topology.DEAD_LETTERS_QUEUE, topology.ALERTS_QUEUE)


def create_app(settings: AlertsSettings, *, clock: Clock = utc_now, tracers: TracerProvider | None = None) -> FastAPI:
    """The service: an HTTP face for health and metrics; the consumer and the watch for as long as that lives.

    Spans go to `tracers`, else to where the environment says (`shared.tracing`).
    """
    tracers = tracers or tracer_provider("mbus-alerts")
    registry = create_registry()
    metrics = AlertsMetrics(registry)
    database = callers_database(settings)
    keys = token_keys(settings)
    broker_url = settings.broker_url.get_secret_value()
    broker = create_broker(
        broker_url, app_id="mbus-alerts", prefetch=settings.prefetch, graceful_timeout_s=settings.grace_period_s
    )
    rounds = Rounds(
        database, IngestQueue(broker_url), settle=timedelta(seconds=settings.settle_s), metrics=metrics, clock=clock
    )
    watch = Watch(
        database, broker, rounds, keep_deliveries=timedelta(days=settings.keep_deliveries_days), metrics=metrics
    )

    webhooks = WebhookClient(allowed=settings.webhooks_allowed)
    mailing = settings.mailing()
    by_mail = None if mailing is None else ByMail(mailing, MailSender(mailing.server), MailRenderer())
    sender = Sender(
        database,
        Ways(ByWebhook(webhooks, clock=clock), by_mail),
        wait=timedelta(seconds=settings.digest_wait_s),
        metrics=metrics,
    )

    async def write(events: Sequence[ReadingsStored]) -> list[None]:
        recovered = await fold(database.engine, events)
        metrics.transitions.labels(InstallationState.FRESH.value).inc(recovered)
        return [None] * len(events)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        folds = GroupCommit[ReadingsStored, None](
            write,
            weigh=lambda event: len(event.installations),
            max_weight=FOLD_AT_MOST,
            writers=1,
            refuses_data=refuses_data,
            suspects_data=suspects_data,
        )
        register_consumer(broker, folds, metrics, tracers.get_tracer(__name__))
        async with (
            exporting(tracers),
            keys.open(),
            database.open(),
            folds.running(),
            running(broker, broker_url, queues=QUEUES, exchanges=(topology.ALERTS,)),
            watch.running(),
            webhooks,
            nullcontext() if by_mail is None else by_mail.sender,
            sender.running(),
        ):
            yield

    return create_face(
        settings,
        database,
        keys,
        lifespan=lifespan,
        readiness={"broker": lambda: check(broker)},
        details={"judgement": watch.judgement},
        registry=registry,
        clock=clock,
    )
