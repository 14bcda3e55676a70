"""What gateways may do and how they are told: their accounts on the broker together with their rows in the registry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.logins import new_password, with_login
from cli.settings import GatewaySettings
from shared import topology
from shared.broker_accounts import (
    GATEWAY_ACCOUNT,
    delete_gateway_account,
    put_gateway_account,
    rotate_gateway_account,
)
from shared.broker_admin import BrokerAdmin, vhost_of
from shared.clock import Clock
from shared.database import open_engine
from shared.registry.gateways import RegisteredGateway, disable_gateway, find_gateway, find_gateways
from shared.registry.operations import check_gateway, register_gateway


@dataclass(frozen=True)
class GatewayAccess:
    """What a gateway must be told to publish; the password is shown once and kept nowhere.

    `mqtt_url` is None where it is not known how the broker is reached over MQTT.
    """

    gateway_id: str
    username: str
    password: str
    exchange: str
    routing_key: str
    wmbus_routing_key: str
    amqp_url: str
    mqtt_username: str
    mqtt_topic: str
    wmbus_mqtt_topic: str
    mqtt_url: str | None


@dataclass(frozen=True, kw_only=True)
class KnownGateway(RegisteredGateway):
    """A gateway, whether it has an account on the broker, and how many connections it has open."""

    has_account: bool
    connections: int

    @property
    def state(self) -> str:
        """In a word or two, for a person."""
        if self.disabled_at is not None:
            return "disabled, but has an account" if self.has_account else "disabled"
        return "in use" if self.has_account else "no account"


@dataclass(frozen=True)
class GatewayAccounts:
    """The registry and the broker, opened for as long as commands on gateways need them."""

    engine: AsyncEngine
    admin: BrokerAdmin
    broker_url: str
    mqtt_url: str | None

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: GatewaySettings) -> AsyncIterator[Self]:
        """On the servers of `settings`."""
        broker_url = settings.broker_url.get_secret_value()
        management_url = settings.broker_management_url.get_secret_value()
        mqtt_url = settings.mqtt_url.get_secret_value() if settings.mqtt_url else None
        async with (
            open_engine(settings.database_url.get_secret_value(), application_name="mbus-cli") as engine,
            BrokerAdmin(management_url, vhost=vhost_of(broker_url)) as admin,
        ):
            yield cls(engine, admin, broker_url, mqtt_url)

    async def add(self, gateway_id: str, *, tenant: str, name: str | None) -> GatewayAccess:
        """Register a gateway of `tenant` (its slug), or take a disabled one into use again, and make its account.

        `CommandError` when it has one already; then nothing is changed.
        """
        # Before the broker is asked: the registry knows which ids can be an account's name.
        await check_gateway(self.engine, gateway_id, tenant=tenant)
        if await self.admin.has_account(gateway_id):
            raise CommandError(
                f"{gateway_id} has an account on the broker already; its password stays as it is"
                " (`mbus gateway rotate` makes another, `mbus gateway disable` deletes the account)"
            )
        await register_gateway(self.engine, gateway_id, tenant=tenant, name=name)
        password = new_password()
        await put_gateway_account(self.admin, gateway_id, password)
        return self._access(gateway_id, password)

    async def rotate(self, gateway_id: str, *, tenant: str | None) -> GatewayAccess:
        """Give a gateway another password and end its connections; `tenant`, if given, must be its own."""
        found = await find_gateway(self.engine, gateway_id, tenant=tenant)
        again = f"`mbus gateway add {gateway_id} --tenant {found.tenant}`"
        if found.disabled_at is not None:
            raise CommandError(f"{gateway_id} is disabled; {again} takes it into use again")
        if not await self.admin.has_account(gateway_id):
            raise CommandError(f"{gateway_id} has no account on the broker; {again} makes one")
        password = new_password()
        await rotate_gateway_account(self.admin, gateway_id, password)
        return self._access(gateway_id, password)

    async def disable(self, gateway_id: str, *, tenant: str | None, clock: Clock) -> datetime | None:
        """Delete a gateway's account, which ends its connections, and note in the registry that it is out of use.

        Returns since when it was, if it was already; safe to repeat.
        """
        found = await find_gateway(self.engine, gateway_id, tenant=tenant)
        # In this order: nothing that it sent is accepted later than the time that is noted.
        await delete_gateway_account(self.admin, gateway_id)
        await disable_gateway(self.engine, gateway_id, now=clock())
        return found.disabled_at

    async def known(self, *, tenant: str | None) -> list[KnownGateway]:
        """All gateways, or those of the tenant with this slug."""
        gateways = await find_gateways(self.engine, tenant=tenant)
        accounts = await self.admin.accounts(GATEWAY_ACCOUNT)
        return [await self._known(it, has_account=it.gateway_id in accounts) for it in gateways]

    async def _known(self, it: RegisteredGateway, *, has_account: bool) -> KnownGateway:
        connections = await self.admin.connections(it.gateway_id) if has_account else 0
        return KnownGateway(
            gateway_id=it.gateway_id,
            tenant=it.tenant,
            name=it.name,
            meters=it.meters,
            disabled_at=it.disabled_at,
            has_account=has_account,
            connections=connections,
        )

    def _access(self, gateway_id: str, password: str) -> GatewayAccess:
        readings, wmbus = topology.gateway_readings_key(gateway_id), topology.gateway_wmbus_key(gateway_id)
        # The plugin puts who names no virtual host into the one of its settings, which is `/` in ours.
        mqtt_username = gateway_id if self.admin.vhost == "/" else f"{self.admin.vhost}:{gateway_id}"
        return GatewayAccess(
            gateway_id=gateway_id,
            username=gateway_id,
            password=password,
            exchange=topology.GATEWAYS,
            routing_key=readings,
            wmbus_routing_key=wmbus,
            amqp_url=with_login(self.broker_url, gateway_id, password),
            mqtt_username=mqtt_username,
            mqtt_topic=topology.mqtt_topic(readings),
            wmbus_mqtt_topic=topology.mqtt_topic(wmbus),
            mqtt_url=None if self.mqtt_url is None else with_login(self.mqtt_url, mqtt_username, password),
        )
