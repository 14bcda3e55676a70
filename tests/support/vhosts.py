"""A virtual host on the broker that the tests make and delete."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from shared.broker_accounts import prepare_broker
from shared.broker_admin import BrokerAdmin
from tests.support.servers import Servers


@dataclass(frozen=True)
class Vhost:
    """A virtual host and the URLs under which the administrator and the services reach it."""

    name: str
    management_url: str
    admin_url: str
    mqtt_url: str
    ingest_name: str
    alerts_name: str
    password: str = "test"

    @classmethod
    def for_session(cls, servers: Servers, session_id: str) -> Self:
        name = f"mbus-test-{session_id}"
        return cls(
            name, servers.management_url, servers.broker_url, servers.mqtt_url, f"{name}-ingest", f"{name}-alerts"
        )

    @property
    def admin_name(self) -> str:
        return unquote(urlsplit(self.admin_url).username or "guest")

    @property
    def account_names(self) -> tuple[str, ...]:
        return (self.ingest_name, self.alerts_name)

    @property
    def url(self) -> str:
        """The administrator's."""
        return self.url_for(self.admin_name, unquote(urlsplit(self.admin_url).password or "guest"))

    @property
    def ingest_url(self) -> str:
        return self.url_for(self.ingest_name, self.password)

    @property
    def alerts_url(self) -> str:
        return self.url_for(self.alerts_name, self.password)

    def url_for(self, name: str, password: str) -> str:
        parts = urlsplit(self.admin_url)
        return urlunsplit((parts.scheme, f"{name}:{password}@{parts.hostname}:{parts.port or 5672}", self.name, "", ""))


@asynccontextmanager
async def prepared_vhost(servers: Servers, session_id: str) -> AsyncIterator[Vhost]:
    """A virtual host as `mbus migrate` leaves it, with accounts for the services; deleted at the end."""
    vhost = Vhost.for_session(servers, session_id)
    async with BrokerAdmin(servers.management_url, vhost=vhost.name) as admin:
        await admin.put_vhost()
        await admin.put_full_rights(vhost.admin_name)
        await prepare_broker(admin, vhost.url, {"ingest": vhost.ingest_url, "alerts": vhost.alerts_url})
        try:
            yield vhost
        finally:
            await admin.delete_vhost()
            for name in vhost.account_names:
                await admin.delete_account(name)
