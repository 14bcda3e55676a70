"""The service itself, with a mail server: a subscription over HTTP, a mail over STARTTLS, and an end by its link."""

from urllib.parse import urlsplit
from uuid import UUID

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Database
from tests.support.mailbox import Mailbox
from tests.support.messages import eventually
from tests.support.processes import running
from tests.support.registry import create_building
from tests.support.tokens import SECRET, headers_with
from tests.support.vhosts import Vhost

DELIVERED = 'mbus_alerts_subscription_attempts_total{by="mail",outcome="delivered"} 1.0'
PREFIX = "/behind-a-proxy"


async def test_from_the_subscription_to_the_click_on_its_mail(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    headers = headers_with("alerts:read alerts:write")(building.tenant_id)
    async with Mailbox.open(tls="starttls", login=("alerts", "s3cret:@")) as mailbox:
        variables = {
            "MBUS_ALERTS_DATABASE_URL": database.alerts_url,
            "MBUS_ALERTS_BROKER_URL": vhost.alerts_url,
            "MBUS_ALERTS_SMTP_URL": mailbox.url,
            "MBUS_ALERTS_SMTP_CA_FILE": str(mailbox.ca_file),
            "MBUS_ALERTS_MAIL_FROM": "M-Bus alerts <alerts@example.com>",
            "MBUS_ALERTS_PUBLIC_URL": f"https://alerts.example.com{PREFIX}/",
            "MBUS_ALERTS_UNSUBSCRIBE_KEY": "a key of the tests, of 32 bytes..",
            "MBUS_JWT_SECRET": SECRET,
        }
        async with running(variables, "alerts") as (_, url), httpx2.AsyncClient(base_url=url) as client:
            wanted = {"name": "Vært", "mail_address": "vaert@example.com", "language": "da"}
            made = await client.post("/subscriptions", headers=headers, json=wanted)
            assert made.status_code == 201, made.text
            subscription = UUID(made.json()["id"])
            asked = await client.post(f"/subscriptions/{subscription}/test", headers=headers)
            assert asked.status_code == 202
            (received,) = await mailbox.wait_for(1)
            assert received.recipients == ("vaert@example.com",)
            assert received.subject.startswith("Test: alarmer fra ")

            link = urlsplit(received.unsubscribe_url)
            assert (link.scheme, link.netloc) == ("https", "alerts.example.com")
            path = link.path.removeprefix(PREFIX)
            page = await client.get(path)
            assert page.status_code == 200
            assert "<button" in page.text
            # As a mail program sends it, without a word of who it is; the page's form does the same.
            click = await client.post(path, files={"List-Unsubscribe": (None, b"One-Click")})
            assert click.status_code == 200
            assert "ikke flere mails" in click.text

            found = (await client.get(f"/subscriptions/{subscription}", headers=headers)).json()
            assert (found["enabled"], found["disabled_because"]) == (False, "unsubscribed")
            assert (await client.post(f"/subscriptions/{subscription}/test", headers=headers)).status_code == 409

            async def is_counted() -> bool:
                return DELIVERED in (await client.get("/metrics")).text

            await eventually(is_counted)
            metrics = (await client.get("/metrics")).text
            assert 'route="/unsubscribe/{token}"' in metrics
            assert link.path.rpartition("/")[2] not in metrics
