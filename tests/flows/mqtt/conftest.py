"""A gateway with an account on the broker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from shared import topology
from shared.broker_accounts import put_gateway_account
from shared.broker_admin import BrokerAdmin
from tests.support.vhosts import Vhost

PASSWORD = "secret"


@dataclass(frozen=True)
class Sender:
    """What a gateway is told."""

    gateway_id: str

    @property
    def login(self) -> tuple[str, str]:
        return self.gateway_id, PASSWORD

    @property
    def topic(self) -> str:
        return topology.mqtt_topic(topology.gateway_readings_key(self.gateway_id))

    @property
    def wmbus_topic(self) -> str:
        return topology.mqtt_topic(topology.gateway_wmbus_key(self.gateway_id))


@pytest.fixture(scope="session")
async def sender(session_vhost: Vhost) -> AsyncIterator[Sender]:
    made = Sender(f"{session_vhost.name}-sender")
    async with BrokerAdmin(session_vhost.management_url, vhost=session_vhost.name) as admin:
        await put_gateway_account(admin, *made.login)
        yield made
        await admin.delete_account(made.gateway_id)
