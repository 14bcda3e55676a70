"""Ingest as a program runs it, in this process."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Database
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost


@pytest.fixture
async def ingest(database: Database, vhost: Vhost) -> AsyncIterator[None]:
    """The service, consuming."""
    async with running_ingest(database, vhost):
        yield
