"""Which addresses a name has, asked of DNS: beside the event loop, and within a bounded time."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from aiodns import DNSResolver
from aiodns.error import DNSError
from pycares import AAAARecordData, ARecordData

from services.alerts.webhooks.addresses import IPAddress
from services.alerts.webhooks.failures import FailureKind, WebhookFailure

TRY_S = 1.5
TRIES = 2
WITHIN_S = 5.0
"""For all of it. Where nobody answers for one kind of address by then, the other kind counts."""

KINDS = ("A", "AAAA")


class Resolver:
    """Asks the name servers of the machine, or `nameservers` (`127.0.0.1:5353`). Made in the loop that it serves."""

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._dns = DNSResolver(nameservers, timeout=TRY_S, tries=TRIES)

    async def addresses(self, name: str, *, as_machine: bool) -> list[IPAddress]:
        """The addresses of `name`, at least one, those of IPv4 first: containers often have no way out over IPv6.

        By DNS alone, and this very name. `as_machine`, as other programs here find it: also by `/etc/hosts` and the
        search domains. `WebhookFailure` where none is found.
        """
        found = await (self._of_machine(name) if as_machine else self._of_dns(name))
        if not found:
            raise WebhookFailure(FailureKind.NAME_NOT_RESOLVED, "The host's name could not be found in DNS.")
        return sorted(dict.fromkeys(ip_address(text) for text in found), key=lambda one: one.version)

    async def _of_dns(self, name: str) -> list[str]:
        asked = [self._dns.query_dns(name, kind) for kind in KINDS]
        try:
            await asyncio.wait(asked, timeout=WITHIN_S)
        finally:
            for one in asked:
                one.cancel()
        found: list[str] = []
        for one in asked:
            if one.cancelled():
                continue
            with suppress(DNSError):  # there is none of this kind, or it is not told
                records = one.result().answer
                found += [each.data.addr for each in records if isinstance(each.data, ARecordData | AAAARecordData)]
        return found

    async def _of_machine(self, name: str) -> list[str]:
        try:
            async with asyncio.timeout(WITHIN_S):
                result = await self._dns.getaddrinfo(name, family=socket.AF_UNSPEC)
        except (DNSError, TimeoutError):
            return []
        return [node.addr[0].decode() for node in result.nodes]

    async def aclose(self) -> None:
        """End what is asked."""
        await self._dns.close()
