"""Who may read alert events, and how they are told: accounts on the broker, each for a tenant or for operators."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.logins import new_password, with_login
from cli.settings import SubscriberSettings
from shared import topology
from shared.broker_admin import BrokerAdmin, vhost_of
from shared.database import open_engine
from shared.registry.tenants import find_tenant, tenant_slugs
from shared.subscriber_accounts import (
    NAME,
    Subscriber,
    find_subscribers,
    put_subscriber,
    remove_subscriber,
    rotate_subscriber,
)


@dataclass(frozen=True)
class SubscriberAccess:
    """What a subscriber must be told; the password is shown once and kept nowhere.

    `tenant` is None for one of operators. `binding` is the widest pattern that it may bind with, `queue` what to call
    its queue: that, or what begins with it and a dot.
    """

    subscriber: str
    tenant: str | None
    username: str
    password: str
    exchange: str
    binding: str
    queue: str
    amqp_url: str


@dataclass(frozen=True)
class KnownSubscriber:
    """A subscriber, its open connections, and how many queues it has with how many events waiting in them."""

    subscriber: str
    tenant: str | None
    connections: int
    queues: int
    waiting: int


@dataclass(frozen=True)
class SubscriberAccounts:
    """The registry and the broker, opened for as long as commands on subscribers need them."""

    engine: AsyncEngine
    admin: BrokerAdmin
    broker_url: str

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: SubscriberSettings) -> AsyncIterator[Self]:
        """On the servers of `settings`."""
        broker_url = settings.broker_url.get_secret_value()
        management_url = settings.broker_management_url.get_secret_value()
        async with (
            open_engine(settings.database_url.get_secret_value(), application_name="mbus-cli") as engine,
            BrokerAdmin(management_url, vhost=vhost_of(broker_url)) as admin,
        ):
            yield cls(engine, admin, broker_url)

    async def add(self, name: str, *, tenant: str | None) -> SubscriberAccess:
        """Make an account that reads the events of `tenant` (its slug), or those for operators.

        `CommandError` when the broker has an account of that name; then nothing is changed.
        """
        if not NAME.fullmatch(name):
            raise CommandError("a subscriber's name must be 1-64 letters, digits, hyphens and underscores")
        scope = topology.OPERATOR if tenant is None else str(await self._tenant_id(tenant))
        if await self.admin.has_account(name):
            raise CommandError(
                f"the broker has an account {name!r} already; its password stays as it is"
                " (`mbus subscriber rotate` makes another)"
            )
        password = new_password()
        subscriber = Subscriber(name, scope)
        await put_subscriber(self.admin, subscriber, password)
        return self._access(subscriber, tenant, password)

    async def rotate(self, name: str) -> SubscriberAccess:
        """Give a subscriber another password and end its connections; its queues stay."""
        subscriber = await self._find(name)
        password = new_password()
        await rotate_subscriber(self.admin, subscriber, password)
        return self._access(subscriber, (await self._slugs([subscriber])).get(subscriber.scope), password)

    async def remove(self, name: str) -> list[str]:
        """Delete a subscriber's account, which ends its connections, and its queues; returns the queues' names."""
        return await remove_subscriber(self.admin, await self._find(name))

    async def known(self, *, tenant: str | None) -> list[KnownSubscriber]:
        """All subscribers by name, or those of the tenant with this slug."""
        only = None if tenant is None else str(await self._tenant_id(tenant))
        subscribers = [it for it in await find_subscribers(self.admin) if only in (None, it.scope)]
        slugs = await self._slugs(subscribers)
        waiting = await self.admin.queues()
        known = []
        for it in subscribers:
            queues = [count for name, count in waiting.items() if it.owns(name)]
            connections = await self.admin.connections(it.name)
            known.append(KnownSubscriber(it.name, slugs.get(it.scope), connections, len(queues), sum(queues)))
        return known

    async def _find(self, name: str) -> Subscriber:
        for subscriber in await find_subscribers(self.admin):
            if subscriber.name == name:
                return subscriber
        raise CommandError(f"there is no subscriber {name!r}; `mbus subscriber list` shows them")

    async def _tenant_id(self, slug: str) -> UUID:
        async with self.engine.connect() as connection:
            return await find_tenant(connection, slug)

    async def _slugs(self, subscribers: list[Subscriber]) -> dict[str, str]:
        """The slugs of the tenants whose events they read, by scope."""
        ids = {UUID(it.scope) for it in subscribers if it.scope != topology.OPERATOR}
        async with self.engine.connect() as connection:
            return {str(id_): slug for id_, slug in (await tenant_slugs(connection, ids)).items()}

    def _access(self, it: Subscriber, tenant: str | None, password: str) -> SubscriberAccess:
        return SubscriberAccess(
            subscriber=it.name,
            tenant=tenant,
            username=it.name,
            password=password,
            exchange=topology.ALERTS,
            binding=topology.alert_pattern(it.scope),
            queue=topology.subscriber_queue(it.scope, it.name),
            amqp_url=with_login(self.broker_url, it.name, password),
        )
