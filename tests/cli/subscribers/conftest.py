"""A tenant, another, a name for a subscriber, and `mbus subscriber` on this test's servers."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker_admin import BrokerAdmin
from shared.models import Tenant
from shared.subscriber_accounts import find_subscribers
from tests.cli.commands import Finished, mbus, variables_of
from tests.support.databases import Database
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost


class Commands:
    """`mbus subscriber …` as an operator runs it, for one tenant."""

    def __init__(self, database: Database, vhost: Vhost, tenant: str) -> None:
        self.tenant = tenant
        self._variables = variables_of(database, vhost)

    async def run(self, *arguments: str) -> Finished:
        return await mbus("subscriber", *arguments, variables=self._variables)

    async def told(self, *arguments: str) -> dict[str, Any]:
        """What a command that must succeed prints with `--json`."""
        ended = await self.run(*arguments, "--json")
        assert ended.code == 0, ended.errors
        return dict(json.loads(ended.out))

    async def add(self, name: str) -> dict[str, Any]:
        return await self.told("add", name, "--tenant", self.tenant)


@pytest.fixture
def name() -> str:
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
async def subscriber(
    database: Database, engine: AsyncEngine, vhost: Vhost, building: Building
) -> AsyncIterator[Commands]:
    """The commands; what they made on the broker is deleted after the test."""
    async with engine.connect() as connection:
        slug = await connection.scalar(select(Tenant.slug).where(Tenant.id == building.tenant_id))
    yield Commands(database, vhost, str(slug))
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        for made in await find_subscribers(admin):
            await admin.delete_account(made.name)
        for queue in await admin.queues():
            if queue.startswith("sub."):
                await admin.delete_queue(queue)
        for exchange in await admin.exchanges():
            if exchange.startswith("sub."):
                await admin.delete_exchange(exchange)
