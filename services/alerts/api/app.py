"""The HTTP face of alerts: the application with its routes, whatever else runs for as long as that lives."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.alerts.api.alert_marks import alert_marks_router
from services.alerts.api.alerts import alerts_router
from services.alerts.api.bulk_marks import bulk_marks_router
from services.alerts.api.deliveries import deliveries_router
from services.alerts.api.maintenance_windows import maintenance_windows_router
from services.alerts.api.policies import policies_router
from services.alerts.api.stream import stream_router
from services.alerts.api.subscription_calls import subscription_calls_router
from services.alerts.api.subscriptions import subscriptions_router
from services.alerts.api.unsubscribe import unsubscribe_router
from services.alerts.api.wanted_subscription import checked
from services.alerts.description import DESCRIPTION, TAGS, TITLE
from services.alerts.live import LiveStreams
from services.alerts.lookout import LookOut
from services.alerts.mail.unsubscribe_pages import UnsubscribePages
from services.alerts.metrics import StreamMetrics
from services.alerts.settings import AlertsSettings
from services.alerts.webhooks.signing import new_secret
from shared.asyncapi.published import published_document
from shared.clock import Clock
from shared.http.app import HttpApp, Lifespan, create_http_app
from shared.http.asyncapi import asyncapi_router
from shared.http.authentication import caller_with
from shared.http.health import Check, Detail
from shared.http.rate_limit import RateLimit
from shared.http.tenant_database import TenantDatabase
from shared.http.token_settings import create_verifier
from shared.http.token_verifier import Keys

ROLE = "mbus_alerts_api"
"""The database role in which callers are answered: it sees one tenant, where that of the service sees all."""

CLICKS_PER_S, CLICKS_BURST = 1.0, 20
"""Requests by the link of one subscription: people and programs that look at mails need few."""


def create_face(
    settings: AlertsSettings,
    database: TenantDatabase,
    keys: Keys,
    *,
    lifespan: Lifespan,
    readiness: Mapping[str, Check],
    details: Mapping[str, Detail] | None = None,
    registry: CollectorRegistry,
    clock: Clock,
) -> HttpApp:
    """The application; `database` acts as `ROLE` for callers, and `lifespan` opens it and `keys`."""

    @asynccontextmanager
    async def looking_out(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app), look_out.running():
            yield

    app = create_http_app(
        title=TITLE,
        description=DESCRIPTION,
        tags=TAGS,
        lifespan=looking_out,
        readiness={"database": database.check, **readiness, **keys.readiness},
        details=details,
        registry=registry,
    )
    look_out = LookOut(database, stopping=app.stopping)
    streams = LiveStreams(
        database,
        look_out,
        stopping=app.stopping,
        most=settings.streams,
        most_per_tenant=settings.streams_per_tenant,
        metrics=StreamMetrics(registry),
        clock=clock,
    )
    verifier = create_verifier(settings, keys, clock=clock)
    limit = RateLimit(per_s=settings.rate_limit_per_s, burst=settings.rate_limit_burst)
    reader = caller_with("alerts:read", verifier, limit)
    writer = caller_with("alerts:write", verifier, limit)
    # Before the alert of an id, whose path it fits too.
    app.include_router(stream_router(streams, reader, stopping=app.stopping))
    app.include_router(alerts_router(database, reader, clock=clock))
    app.include_router(alert_marks_router(database, writer, clock=clock))
    app.include_router(bulk_marks_router(database, writer, clock=clock))
    app.include_router(policies_router(database, reader, writer, clock=clock))
    app.include_router(maintenance_windows_router(database, reader, writer, clock=clock))
    look_at = partial(checked, allowed=settings.webhooks_allowed, sends_mail=settings.smtp_url is not None)
    app.include_router(
        subscriptions_router(database, reader, writer, checked=look_at, new_secret=new_secret, clock=clock)
    )
    app.include_router(subscription_calls_router(database, writer, new_secret=new_secret, clock=clock))
    app.include_router(deliveries_router(database, reader, writer))
    mailing = settings.mailing()
    if mailing is not None:
        app.include_router(
            unsubscribe_router(
                database,
                key=mailing.unsubscribe_key,
                pages=UnsubscribePages(),
                limit=RateLimit(per_s=CLICKS_PER_S, burst=CLICKS_BURST),
                clock=clock,
            )
        )
    app.include_router(asyncapi_router(published_document()))
    return app


def callers_database(settings: AlertsSettings) -> TenantDatabase:
    """The service's database, in which callers act as `ROLE`."""
    return TenantDatabase(
        settings.database_url.get_secret_value(),
        service_role="mbus_alerts",
        acts_as=ROLE,
        callers_timeout_s=settings.callers_timeout_s,
    )
