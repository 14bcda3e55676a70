"""A tenant with meters, and the sender of alerts on a database of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.mail.addresses import Sender as MailFrom
from services.alerts.mail.rendering import MailRenderer
from services.alerts.mail.sending import Encryption, MailSender, MailServer
from services.alerts.mail.settings import Mailing
from services.alerts.metrics import AlertsMetrics
from services.alerts.subscribers.by_mail import ByMail
from services.alerts.subscribers.by_webhook import ByWebhook
from services.alerts.subscribers.sender import Sender, Ways
from services.alerts.webhooks.allow_list import parse_allow_list
from services.alerts.webhooks.client import WebhookClient
from shared.clock import utc_now
from shared.service_database import ServiceDatabase
from tests.support.databases import Database
from tests.support.registry import Building, create_building

PUBLIC_URL = "http://localhost:8001"
UNSUBSCRIBE_KEY = "a key of the tests, of 32 bytes.."

MakeSender = Callable[..., AbstractAsyncContextManager[Sender]]


@pytest.fixture
def make_sender(database: Database) -> MakeSender:
    """Runs a sender that may call this machine, for the length of a block; it sends mail where it has a server."""

    @asynccontextmanager
    async def make(
        *,
        wait: timedelta = timedelta(0),
        timeout_s: float = 15,
        smtp_url: str | None = None,
        mail_timeout_s: float = 10,
    ) -> AsyncIterator[Sender]:
        service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
        client = WebhookClient(allowed=parse_allow_list("127.0.0.1"), timeout_s=timeout_s)
        by_mail = None if smtp_url is None else _by_mail(smtp_url, mail_timeout_s)
        async with service.open(), client, nullcontext() if by_mail is None else by_mail.sender:
            sender = Sender(
                service,
                Ways(ByWebhook(client, clock=utc_now), by_mail),
                wait=wait,
                metrics=AlertsMetrics(CollectorRegistry()),
            )
            async with sender.running():
                yield sender

    return make


def _by_mail(smtp_url: str, timeout_s: float) -> ByMail:
    where = urlsplit(smtp_url)
    server = MailServer(where.hostname or "", where.port or 0, Encryption.NONE, timeout_s=timeout_s)
    sender = MailFrom("alerts@example.com", "M-Bus alerts")
    return ByMail(Mailing(server, sender, PUBLIC_URL, UNSUBSCRIBE_KEY.encode()), MailSender(server), MailRenderer())


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """A tenant with three meters."""
    return await create_building(engine, meters=3)
