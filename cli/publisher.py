"""Publishes gateway messages: confirmed, mandatory, persistent, and again where the broker was away meanwhile."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)

from cli.errors import CommandError, one_line
from shared import topology

RETRY_S = 1.0
CONNECT_TIMEOUT_S = 10.0

GONE = (OSError, AMQPError, TimeoutError, RuntimeError)
"""What a connection that is lost, or cannot be made, raises; asyncio's transports raise RuntimeError when closed."""


def tell_nobody(text: str) -> None:
    """Say nothing of the broker's absence."""


class GatewayPublisher:
    """A connection to the broker that publishes to `gateways` under the keys of gateways.

    While the broker is away or takes nothing, `publish` waits up to `patience_s` seconds for it (None: for ever) and
    sends again: a message may arrive twice, never not at all. `tell` hears when the broker goes and comes back.
    """

    def __init__(self, url: str, *, patience_s: float | None = 0, tell: Callable[[str], None] = tell_nobody) -> None:
        self._url = url
        self._patience_s = patience_s
        self._tell = tell
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._away_since: float | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def publish(
        self, gateway_id: str, body: bytes, content: topology.GatewayFormat = topology.GatewayFormat.READINGS
    ) -> None:
        """Return when the broker has taken `body` as a message of the gateway; `CommandError` when it refuses."""
        message = aio_pika.Message(
            body, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        key = topology.gateway_key(gateway_id, content)
        while True:
            exchange = None
            try:
                exchange = await self._open()
                await exchange.publish(message, key, mandatory=True)
            except (AuthenticationError, ProbableAuthenticationError, CommandError):
                raise
            except PublishError:
                raise CommandError("the broker has no queue for it; run `mbus migrate`") from None
            except ChannelClosed as error:
                raise CommandError(f"the broker refused: {one_line(error)}") from error
            except GONE as error:
                await self._wait(exchange, error)
            else:
                self._back()
                return

    async def _open(self) -> AbstractExchange:
        """The exchange over a connection that is up, which is made where there is none."""
        async with self._connecting:
            if self._exchange is None:
                self._connection = await aio_pika.connect(self._url, timeout=CONNECT_TIMEOUT_S)
                channel = await self._connection.channel(on_return_raises=True)
                # Not looked for: that would take a right which a gateway does not have.
                self._exchange = await channel.get_exchange(topology.GATEWAYS, ensure=False)
            return self._exchange

    async def _wait(self, exchange: AbstractExchange | None, error: Exception) -> None:
        """Wait before the next try, or raise `error` when the broker has been away for too long."""
        loop = asyncio.get_running_loop()
        if self._away_since is None:
            self._away_since = loop.time()
            if self._patience_s != 0:
                self._tell(f"the broker does not take messages ({one_line(error)}); trying again")
        if self._patience_s is not None and loop.time() - self._away_since >= self._patience_s:
            raise error
        if not isinstance(error, DeliveryError) and exchange is self._exchange:
            await self._close()
        await asyncio.sleep(RETRY_S)

    def _back(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._tell("the broker takes messages again")

    async def _close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await connection.close()
