"""Which addresses a name has, asked of DNS: beside the event loop, and within a bounded time."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from aiodns import DNSResolver
from aiodns.error import DNSError
from pycares import AAAARecordData, AddrInfoResult, ARecordData, DNSResult

from services.alerts.webhooks.addresses import IPAddress
from services.alerts.webhooks.failures import FailureKind, WebhookFailure

TRY_S = 1.5
TRIES = 2
WITHIN_S = 5.0
"""For all of it. One kind of address that nobody answers for costs less, so that the other kind still counts."""

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
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await (self._of_machine(name) if as_machine else self._of_dns(name))
        except (DNSError, TimeoutError):
            found = []
        if not found:
            raise WebhookFailure(FailureKind.NAME_NOT_RESOLVED, "The host's name could not be found in DNS.")
        return sorted(dict.fromkeys(ip_address(text) for text in found), key=lambda one: one.version)

    async def _of_dns(self, name: str) -> list[str]:
        answers = await asyncio.gather(*(self._dns.query_dns(name, kind) for kind in KINDS), return_exceptions=True)
        found: list[str] = []
        for answer in answers:
            if isinstance(answer, DNSResult):
                found += [one.data.addr for one in answer.answer if isinstance(one.data, ARecordData | AAAARecordData)]
            elif not isinstance(answer, DNSError):
                raise answer
        return found

    async def _of_machine(self, name: str) -> list[str]:
        result: AddrInfoResult = await self._dns.getaddrinfo(name, family=socket.AF_UNSPEC)
        return [node.addr[0].decode() for node in result.nodes]

    async def aclose(self) -> None:
        """End what is asked."""
        await self._dns.close()
