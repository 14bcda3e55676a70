"""A building whose gateway has an account on the broker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker_accounts import put_gateway_account
from shared.broker_admin import BrokerAdmin
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost

PASSWORD = "secret"


@dataclass(frozen=True)
class Sender:
    """The building, and what its gateway is told."""

    building: Building

    @property
    def login(self) -> tuple[str, str]:
        return self.building.gateway_id, PASSWORD

    @property
    def topic(self) -> str:
        return topology.mqtt_topic(topology.gateway_readings_key(self.building.gateway_id))

    @property
    def wmbus_topic(self) -> str:
        return topology.mqtt_topic(topology.gateway_wmbus_key(self.building.gateway_id))


@pytest.fixture
async def sender(engine: AsyncEngine, vhost: Vhost) -> AsyncIterator[Sender]:
    building = await create_building(engine)
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await put_gateway_account(admin, building.gateway_id, PASSWORD)
        yield Sender(building)
        await admin.delete_account(building.gateway_id)
