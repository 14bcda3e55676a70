"""A tenant with open alerts to tell of, and the sender of alerts on a database of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.metrics import AlertsMetrics
from services.alerts.subscribers.by_webhook import ByWebhook
from services.alerts.subscribers.sender import Sender, Ways
from services.alerts.webhooks.allow_list import parse_allow_list
from services.alerts.webhooks.client import WebhookClient
from shared.clock import utc_now
from shared.service_database import ServiceDatabase
from tests.support.databases import Database
from tests.support.registry import Building, create_building

MakeSender = Callable[..., AbstractAsyncContextManager[Sender]]


@pytest.fixture
def make_sender(database: Database) -> MakeSender:
    """Runs a sender that may call this machine, for the length of a block."""

    @asynccontextmanager
    async def make(*, wait: timedelta = timedelta(0), timeout_s: float = 15) -> AsyncIterator[Sender]:
        service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
        client = WebhookClient(allowed=parse_allow_list("127.0.0.1"), timeout_s=timeout_s)
        async with service.open(), client:
            sender = Sender(
                service,
                Ways(ByWebhook(client, clock=utc_now)),
                wait=wait,
                metrics=AlertsMetrics(CollectorRegistry()),
            )
            async with sender.running():
                yield sender

    return make


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """A tenant with three meters."""
    return await create_building(engine, meters=3)
