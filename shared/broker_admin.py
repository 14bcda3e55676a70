"""The broker's management API: virtual hosts, accounts, permissions and policies."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx2

CLOSING_TIMEOUT_S = 15
CLOSING_PAUSE_S = 0.2
LOOKS_WITHOUT_CONNECTIONS = 2


class BrokerAdminError(Exception):
    """The management API refused or could not be reached; the text says what was asked, never a password."""


class AccountTakenError(BrokerAdminError):
    """The broker has an account of this name that was made for something else."""


@dataclass(frozen=True)
class Permissions:
    """What an account may configure, write to and read from: regular expressions over names."""

    configure: str
    write: str
    read: str


@dataclass(frozen=True)
class TopicPermissions:
    """Which routing keys an account may write and read on a topic exchange: regular expressions over keys."""

    exchange: str
    write: str
    read: str


def vhost_of(broker_url: str) -> str:
    """The virtual host that an AMQP URL names; `/` where it names none."""
    path = urlsplit(broker_url).path
    return unquote(path[1:]) if len(path) > 1 else "/"


class BrokerAdmin:
    """A client for one virtual host. `management_url` holds an administrator's name and password."""

    def __init__(self, management_url: str, *, vhost: str) -> None:
        parts = urlsplit(management_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        netloc = f"{host}:{parts.port}" if parts.port else str(host)
        self.vhost = vhost
        self._client = httpx2.AsyncClient(
            base_url=urlunsplit((parts.scheme, netloc, parts.path.rstrip("/") + "/api/", "", "")),
            auth=(unquote(parts.username or "guest"), unquote(parts.password or "guest")),
            timeout=15,
            trust_env=False,  # a proxy for the web does not lead to the servers
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def put_vhost(self) -> None:
        """Create the virtual host, with quorum as its default type of queue, if it is not there."""
        await self._call("PUT", f"vhosts/{_part(self.vhost)}", {"default_queue_type": "quorum"})

    async def has_vhost(self) -> bool:
        """Whether the virtual host is there."""
        return await self._get(f"vhosts/{_part(self.vhost)}") is not None

    async def delete_vhost(self) -> None:
        """Delete the virtual host with all that is in it."""
        await self._call("DELETE", f"vhosts/{_part(self.vhost)}", missing_is_fine=True)

    async def put_account(
        self,
        name: str,
        password: str,
        permissions: Permissions,
        *,
        kind: str,
        topics: tuple[TopicPermissions, ...] = (),
    ) -> None:
        """Create an account or set its password and rights.

        `kind` is kept as the account's tag, such as `mbus-gateway`; an account of the same name and another kind is
        somebody else's and raises `AccountTakenError`. Topic permissions come first: an account with permissions and
        no topic permission may use every key.
        """
        user = _part(name)
        existing = await self._get(f"users/{user}")
        if existing is not None and existing["tags"] != [kind]:
            raise AccountTakenError(f"the broker has an account {name!r} already, which is no {kind} account")
        await self._call("PUT", f"users/{user}", {"password": password, "tags": kind})
        for topic in topics:
            await self._call(
                "PUT",
                f"topic-permissions/{_part(self.vhost)}/{user}",
                {"exchange": topic.exchange, "write": topic.write, "read": topic.read},
            )
        await self._call(
            "PUT",
            f"permissions/{_part(self.vhost)}/{user}",
            {"configure": permissions.configure, "write": permissions.write, "read": permissions.read},
        )

    async def put_full_rights(self, name: str) -> None:
        """Give an existing account, such as the administrator's, every right in the virtual host."""
        await self._call(
            "PUT",
            f"permissions/{_part(self.vhost)}/{_part(name)}",
            {"configure": ".*", "write": ".*", "read": ".*"},
        )

    async def has_account(self, name: str) -> bool:
        """Whether the broker has an account of this name, of any kind."""
        return await self._get(f"users/{_part(name)}") is not None

    async def accounts(self, kind: str) -> set[str]:
        """The names of all accounts of a kind."""
        return {user["name"] for user in await self._list("users") if user["tags"] == [kind]}

    async def delete_account(self, name: str, *, kind: str | None = None) -> bool:
        """Delete an account, and with it its connections; returns whether there was one.

        With `kind`, one of another kind is somebody else's: `AccountTakenError`.
        """
        user = f"users/{_part(name)}"
        existing = await self._get(user)
        if existing is None:
            return False
        if kind is not None and existing["tags"] != [kind]:
            raise AccountTakenError(f"the broker's account {name!r} is no {kind} account")
        await self._call("DELETE", user, missing_is_fine=True)
        return True

    async def connections(self, name: str) -> int:
        """How many connections an account has open, whatever they speak."""
        return len(await self._list(f"connections/username/{_part(name)}"))

    async def end_connections(self, name: str) -> None:
        """Close what an account has open until two looks in a row find nothing: a login that was under way counts too.

        Nobody is told a new password before, so that all of these are of the old one.
        """
        path = f"connections/username/{_part(name)}"
        try:
            async with asyncio.timeout(CLOSING_TIMEOUT_S):
                looks = 0
                while looks < LOOKS_WITHOUT_CONNECTIONS:
                    looks = 0 if await self.connections(name) else looks + 1
                    if looks == 0:
                        await self._call("DELETE", path, missing_is_fine=True)
                    await asyncio.sleep(CLOSING_PAUSE_S)
        except TimeoutError:
            raise BrokerAdminError(f"the broker does not close the connections of {name!r}") from None

    async def permissions(self) -> dict[str, Permissions]:
        """What each account may do in the virtual host, by its name."""
        return {
            it["user"]: Permissions(configure=it["configure"], write=it["write"], read=it["read"])
            for it in await self._list(f"vhosts/{_part(self.vhost)}/permissions")
        }

    async def queues(self) -> dict[str, int]:
        """All queues of the virtual host, with how many messages each holds, as of some seconds ago."""
        return {it["name"]: it.get("messages", 0) for it in await self._list(f"queues/{_part(self.vhost)}")}

    async def exchanges(self) -> set[str]:
        """The names of all exchanges of the virtual host."""
        return {it["name"] for it in await self._list(f"exchanges/{_part(self.vhost)}")}

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with all that it holds, if it is there."""
        await self._call("DELETE", f"queues/{_part(self.vhost)}/{_part(name)}", missing_is_fine=True)

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange with its bindings, if it is there."""
        await self._call("DELETE", f"exchanges/{_part(self.vhost)}/{_part(name)}", missing_is_fine=True)

    async def put_policy(
        self, name: str, *, pattern: str, apply_to: str, definition: dict[str, Any], of_operator: bool = False
    ) -> None:
        """Set a policy of the virtual host; one `of_operator` bounds what others and the queues themselves say."""
        await self._call(
            "PUT",
            f"{'operator-' if of_operator else ''}policies/{_part(self.vhost)}/{_part(name)}",
            {"pattern": pattern, "apply-to": apply_to, "definition": definition, "priority": 0},
        )

    async def delete_policy(self, name: str) -> None:
        """Delete a policy of the virtual host."""
        await self._call("DELETE", f"policies/{_part(self.vhost)}/{_part(name)}", missing_is_fine=True)

    async def _get(self, path: str) -> dict[str, Any] | None:
        """What is at `path`, or None where there is nothing."""
        response = await self._send("GET", path)
        return None if response.status_code == httpx2.codes.NOT_FOUND else dict(response.json())

    async def _list(self, path: str) -> list[dict[str, Any]]:
        """The list at `path`; empty where there is nothing."""
        response = await self._send("GET", path)
        return [] if response.status_code == httpx2.codes.NOT_FOUND else list(response.json())

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, missing_is_fine: bool = False
    ) -> None:
        response = await self._send(method, path, body)
        if response.status_code == httpx2.codes.NOT_FOUND and not missing_is_fine:
            raise BrokerAdminError(f"the broker's management API knows no {path}")

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        try:
            response = await self._client.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise BrokerAdminError(f"the broker's management API does not answer: {error}") from error
        if response.is_error and response.status_code != httpx2.codes.NOT_FOUND:
            raise BrokerAdminError(f"the broker's management API answered {response.status_code} to {method} {path}")
        return response


def _part(name: str) -> str:
    return quote(name, safe="")
