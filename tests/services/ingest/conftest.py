"""Ingest as a program runs it, in this process."""

from collections.abc import AsyncIterator

import pytest

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from tests.support.databases import Database
from tests.support.vhosts import Vhost


def ingest_settings(database: Database, vhost: Vhost) -> IngestSettings:
    return IngestSettings.model_validate({"database_url": database.ingest_url, "broker_url": vhost.ingest_url})


@pytest.fixture
async def ingest(database: Database, vhost: Vhost) -> AsyncIterator[None]:
    """The service, consuming."""
    app = create_app(ingest_settings(database, vhost))
    async with app.router.lifespan_context(app):
        yield
