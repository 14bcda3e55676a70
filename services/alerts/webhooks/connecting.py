"""Connects to endpoints, and to none but judged addresses: a name is looked up once, and what it led to is used.

So a name that leads elsewhere the second time ("DNS rebinding") leads nowhere. All addresses of a name are judged; one
that is not public refuses them all, since whoever writes such records means no good or does not know what they do.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

from httpcore2 import (
    SOCKET_OPTION,
    AnyIOBackend,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
    ReadError,
)
from typing_extensions import override

from services.alerts.webhooks.addresses import IPAddress, is_public
from services.alerts.webhooks.allow_list import AllowList
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.resolving import Resolver
from services.alerts.webhooks.urls import literal_address

ADDRESS_WITHIN_S = 3.0
"""For one of several addresses; the next is tried where nobody answers at the first."""

ADDRESSES_TRIED = 4
"""Of one name. A record of thousands would make us knock at the doors of thousands."""

ANSWER_MAX_BYTES = 64 * 1024
"""Of one answer with its status and headers, and with interim answers (1xx) before it."""

READ_BYTES = 16 * 1024


class ClosedBeforeAnswerError(Exception):
    """The connection ended before the first byte of an answer: it may have been closed before the request came."""


class AnswerTooLongError(Exception):
    """More came than an answer may have."""


class JudgingBackend(AsyncNetworkBackend):
    """Connects for httpcore2. `WebhookFailure` where an address is not public, and not `allowed` either."""

    def __init__(self, resolver: Resolver, allowed: AllowList) -> None:
        self._resolver = resolver
        self._allowed = allowed
        self._tcp = AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        addresses = await self._judged(host, port)
        for address in addresses[:ADDRESSES_TRIED]:
            limit = ADDRESS_WITHIN_S if len(addresses) > 1 else timeout
            try:
                return EndpointStream(await self._tcp.connect_tcp(str(address), port, limit, None, socket_options))
            except (ConnectError, ConnectTimeout):
                continue
        raise WebhookFailure(FailureKind.NOT_CONNECTED, "No connection could be made to the endpoint.")

    async def _judged(self, host: str, port: int) -> list[IPAddress]:
        literal = literal_address(host)
        is_allowed = self._allowed.has_name(host, port)
        addresses = [literal] if literal is not None else await self._resolver.addresses(host, as_machine=is_allowed)
        if not is_allowed and not all(is_public(one) or self._allowed.has_address(one, port) for one in addresses):
            raise WebhookFailure(
                FailureKind.ADDRESS_REFUSED, "The host's name leads to an address that is not a public one."
            )
        return addresses


class EndpointStream(AsyncNetworkStream):
    """A connection that knows how much of an answer has come. What is written begins a new one."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream
        self._received = 0

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._received >= ANSWER_MAX_BYTES:
            raise AnswerTooLongError
        try:
            data = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        except (ReadError, ssl.SSLError) as error:
            if self._received:
                raise
            raise ClosedBeforeAnswerError from error
        if not data and not self._received:
            raise ClosedBeforeAnswerError
        self._received += len(data)
        return data

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._received = 0
        await self._stream.write(buffer, timeout)

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        try:
            return EndpointStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except ConnectError as error:  # the stream is closed
            raise WebhookFailure(FailureKind.TLS, _why_no_tls(error.__cause__)) from error
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _why_no_tls(error: BaseException | None) -> str:
    """OpenSSL's own words of what is wrong with a certificate; they name no more than the URL does."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The endpoint's certificate is not to be trusted: {error.verify_message.rstrip('.')}."
    return "The endpoint and we agreed on no way to speak TLS."
