"""Subscribers' accounts on the broker: each reads the alert events of one tenant, or those for operators, and no other.

The broker keeps all there is to know of them: whose events an account reads stands in its permissions.
"""

import re
import secrets
from dataclasses import dataclass

from shared import topology
from shared.broker_admin import BrokerAdmin, Permissions, TopicPermissions

SUBSCRIBER_ACCOUNT = "mbus-subscriber"

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a subscriber may be called, whole: no dot, so that no queue of one begins like those of another."""

QUEUES_POLICY = "mbus-subscribers"
QUEUES_BOUNDS = {
    "max-length": 100_000,
    "max-length-bytes": 128 * 1024 * 1024,
    "expires": 14 * 24 * 60 * 60 * 1000,  # ms without a consumer
}
"""What a subscriber's queue may hold, and how long it stays when nobody takes from it, whatever it was declared as."""

_NOTHING = "^$"
_SCOPE = re.compile(r"\^sub\\\.([0-9a-z-]+)\\\.")


@dataclass(frozen=True)
class Subscriber:
    """An account that reads alert events; `scope` is the first word of their routing keys: whose they are."""

    name: str
    scope: str

    def owns(self, name: str) -> bool:
        """Whether a queue or an exchange is of this subscriber, by its name."""
        own = topology.subscriber_queue(self.scope, self.name)
        return name == own or name.startswith(f"{own}.")


async def put_subscriber(admin: BrokerAdmin, subscriber: Subscriber, password: str) -> None:
    """Create the account, or give it another password.

    It may declare what begins with `sub.<scope>.`, bind that to `alerts` by keys that begin with its scope, and read
    it. Subscribers of the same tenant are not kept apart: they read the same.
    """
    own = rf"^sub\.{subscriber.scope}\."
    await admin.put_account(
        subscriber.name,
        password,
        Permissions(configure=own, write=own, read=rf"^({topology.ALERTS}$|sub\.{subscriber.scope}\.)"),
        kind=SUBSCRIBER_ACCOUNT,
        topics=(TopicPermissions(exchange=topology.ALERTS, write=_NOTHING, read=rf"^{subscriber.scope}\."),),
    )


async def rotate_subscriber(admin: BrokerAdmin, subscriber: Subscriber, password: str) -> None:
    """Give a subscriber another password, and end the connections that were opened with the old one."""
    await put_subscriber(admin, subscriber, password)
    await admin.end_connections(subscriber.name)


async def remove_subscriber(admin: BrokerAdmin, subscriber: Subscriber) -> list[str]:
    """Shut a subscriber out, delete its queues with what they hold, and its account; returns the queues' names.

    Where it is the last of its scope, all queues of that are its. The account goes last, so that this can be repeated.
    """
    await rotate_subscriber(admin, subscriber, secrets.token_urlsafe())  # a password that nobody knows
    others = [other for other in await find_subscribers(admin) if other.scope == subscriber.scope] != [subscriber]

    def is_its(name: str) -> bool:
        return subscriber.owns(name) if others else name.startswith(f"sub.{subscriber.scope}.")

    for exchange in filter(is_its, await admin.exchanges()):
        await admin.delete_exchange(exchange)
    queues = sorted(filter(is_its, await admin.queues()))
    for queue in queues:
        await admin.delete_queue(queue)
    await admin.delete_account(subscriber.name, kind=SUBSCRIBER_ACCOUNT)
    return queues


async def find_subscribers(admin: BrokerAdmin) -> list[Subscriber]:
    """All subscribers of the virtual host, by name."""
    accounts = await admin.accounts(SUBSCRIBER_ACCOUNT)
    found = {name: _SCOPE.fullmatch(it.configure) for name, it in (await admin.permissions()).items()}
    return [Subscriber(name, scope[1]) for name, scope in sorted(found.items()) if scope and name in accounts]
