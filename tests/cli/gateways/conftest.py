"""A tenant, an id for a gateway of it, and `mbus gateway` on this test's servers."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker_admin import BrokerAdmin
from shared.models import Tenant
from tests.cli.commands import Finished, mbus, variables_of
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost


@pytest.fixture
async def gateway_id(vhost: Vhost) -> AsyncIterator[str]:
    """An id whose account, if there is one, is deleted after the test."""
    name = f"TEST-{secrets.token_hex(4)}"
    yield name
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await admin.delete_account(name)


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


class Commands:
    """`mbus gateway …` as an operator runs it, for one tenant."""

    def __init__(self, database: Database, vhost: Vhost, tenant: str) -> None:
        self.tenant = tenant
        self._variables = variables_of(database, vhost)

    async def run(self, *arguments: str, variables: dict[str, str] | None = None) -> Finished:
        return await mbus("gateway", *arguments, variables=self._variables | (variables or {}))

    async def told(self, *arguments: str, variables: dict[str, str] | None = None) -> dict[str, Any]:
        """What a command that must succeed prints with `--json`."""
        ended = await self.run(*arguments, "--json", variables=variables)
        assert ended.code == 0, ended.errors
        return dict(json.loads(ended.out))

    async def add(self, gateway_id: str) -> dict[str, Any]:
        return await self.told("add", gateway_id, "--tenant", self.tenant)


@pytest.fixture
async def gateway(database: Database, engine: AsyncEngine, vhost: Vhost, building: Building) -> Commands:
    async with engine.connect() as connection:
        slug = await connection.scalar(select(Tenant.slug).where(Tenant.id == building.tenant_id))
    return Commands(database, vhost, str(slug))


async def wait_for_end(connection: AbstractConnection) -> None:
    """Return when the broker has closed the connection."""

    async def is_so() -> bool:
        return connection.transport is None or connection.transport.connection.is_closed

    await eventually(is_so)
    await connection.close()
