"""Publishes as gateways do: again and again, until the broker has confirmed it."""

import asyncio
from collections.abc import Sequence

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange

from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away
from tests.faults.ledger import Sent

AT_ONCE = 100
CONFIRM_WITHIN_S = 5.0
RETRY_S = 0.2


class Publisher:
    """Publishes under any routing key; `not_confirmed` counts the tries that came to nothing, as far as it knows."""

    def __init__(self, url: str) -> None:
        self.not_confirmed = 0
        self._url = url

    async def publish(self, messages: Sequence[Sent]) -> None:
        """Return when all are confirmed. What was not confirmed may have arrived all the same, as from a gateway."""
        left = list(messages)
        while left := await self._try(left):  # noqa: ASYNC110 - the broker tells of nothing
            await asyncio.sleep(RETRY_S)

    async def _try(self, messages: Sequence[Sent]) -> list[Sent]:
        """Publish each once; returns those that were not confirmed."""
        connection: AbstractConnection | None = None
        left = list(messages)
        try:
            with broker_may_be_away():
                async with asyncio.timeout(CONFIRM_WITHIN_S):
                    connection = await aio_pika.connect(self._url)
                    exchange = await (await connection.channel()).get_exchange(topology.GATEWAYS)
                while left:
                    confirmed = await asyncio.gather(*(self._confirmed(exchange, it) for it in left[:AT_ONCE]))
                    missing = [it for it, done in zip(left[:AT_ONCE], confirmed, strict=True) if not done]
                    left[:AT_ONCE] = missing
                    if missing:
                        break
        except UNREACHABLE:
            self.not_confirmed += 1
        finally:
            if connection is not None:
                await _close(connection)
        return left

    async def _confirmed(self, exchange: AbstractExchange, message: Sent) -> bool:
        try:
            with broker_may_be_away():
                async with asyncio.timeout(CONFIRM_WITHIN_S):
                    await exchange.publish(
                        aio_pika.Message(message.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                        message.routing_key,
                    )
        except UNREACHABLE:
            self.not_confirmed += 1
            return False
        return True


async def _close(connection: AbstractConnection) -> None:
    try:
        with broker_may_be_away():
            async with asyncio.timeout(1):
                await connection.close()
    except UNREACHABLE:
        pass
