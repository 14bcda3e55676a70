"""Servers on loopback: a customer's, and the name server that leads to it."""

from collections.abc import AsyncIterator

import pytest

from tests.services.alerts.webhooks.receiver import Receiver
from tests.support.name_server import NameServer


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().open() as receiver:
        yield receiver


@pytest.fixture
async def name_server() -> AsyncIterator[NameServer]:
    async with NameServer().open() as server:
        yield server
