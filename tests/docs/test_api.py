"""Every call in docs/api.md and docs/alerts-api.md works, and its output is what stands there."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.docs.guide import check, make_checkout
from tests.docs.metered_tenant import create_metered_tenant
from tests.docs.sample_tenant import TENANT_ID, create_sample_alerts, create_sample_tenant
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = {name: (DOCS / name).read_text(encoding="utf-8") for name in ("api.md", "alerts-api.md")}
NAMES = {"MBUS_TENANT_ID": str(TENANT_ID), "MBUS_JWT_SECRET": SECRET}

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the guides' calls are made with curl")


async def test_every_call_to_query_works_and_prints_what_its_guide_shows(
    database: Database, engine: AsyncEngine, tmp_path: Path
) -> None:
    await create_sample_tenant(engine)
    await create_metered_tenant(engine)
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (_, url):
        token = ".venv/bin/mbus token --tenant $MBUS_TENANT_ID"
        await make_checkout(tmp_path, {**NAMES, "MBUS_QUERY_URL": url}, token=token)
        await check("api.md", GUIDES["api.md"], tmp_path, {"MBUS_JWT_SECRET": SECRET})


async def test_every_call_to_alerts_works_and_prints_what_its_guide_shows(
    database: Database, engine: AsyncEngine, vhost: Vhost, tmp_path: Path
) -> None:
    await create_sample_tenant(engine)
    await create_sample_alerts(engine)
    variables = {
        "MBUS_ALERTS_DATABASE_URL": database.alerts_url,
        "MBUS_ALERTS_BROKER_URL": vhost.alerts_url,
        "MBUS_JWT_SECRET": SECRET,
        "MBUS_ALERTS_SETTLE_S": "3600",  # it judges nothing here
        # So that subscriptions by mail can be made; nothing is mailed.
        "MBUS_ALERTS_SMTP_URL": "smtp://127.0.0.1:1",
        "MBUS_ALERTS_MAIL_FROM": "alerts@example.com",
        "MBUS_ALERTS_PUBLIC_URL": "https://alerts.example.com",
        "MBUS_ALERTS_UNSUBSCRIBE_KEY": SECRET,
    }
    async with running(variables, "alerts") as (_, url):
        token = (
            ".venv/bin/mbus token --tenant $MBUS_TENANT_ID --subject ida@example.com --scope 'alerts:read alerts:write'"
        )
        await make_checkout(tmp_path, {**NAMES, "MBUS_ALERTS_URL": url}, token=token)
        await check("alerts-api.md", GUIDES["alerts-api.md"], tmp_path, {"MBUS_JWT_SECRET": SECRET})
