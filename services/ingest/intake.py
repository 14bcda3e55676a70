"""Bounds the memory of what is in hand: fewer messages at once while they are large.

What RabbitMQ had sent already when messages suddenly grew is given back, as far as it is too much.
"""

import asyncio

from faststream.rabbit import RabbitMessage

from shared.broker import UNREACHABLE
from shared.broker_connection import Broker
from shared.logs import get_logger
from shared.prefetch import Prefetch

TOO_MUCH = 4
"""Times what should be in hand: then the rest goes back. That costs a delivery of each, and must be rare."""

log = get_logger(__name__)


class Intake:
    """Looks at each message as it comes, and sets the broker's prefetch by their sizes."""

    def __init__(self, broker: Broker, prefetch: Prefetch, *, most_bytes: int) -> None:
        self._broker = broker
        self._prefetch = prefetch
        self._most_bytes = most_bytes
        self._changing: asyncio.Task[None] | None = None

    def takes(self, message: RabbitMessage, *, bytes_in_hand: int) -> bool:
        """Whether to keep the message; if not, it is to go back to the queue."""
        size = len(message.body)
        self._prefetch.came(size)
        level = self._prefetch.level
        if level != self._broker.prefetch and (self._changing is None or self._changing.done()):
            self._changing = asyncio.create_task(self._change(level), name="prefetch")
        # Never what came by the present consumer: it would come again at once.
        is_sent_ahead = level < self._broker.prefetch or not self._broker.is_present(message.raw_message.consumer_tag)
        return not (is_sent_ahead and bytes_in_hand + size > TOO_MUCH * self._most_bytes)

    async def _change(self, level: int) -> None:
        try:
            await self._broker.set_prefetch(level)
        except UNREACHABLE as error:
            log.warning("prefetch_not_changed", error=repr(error))
        else:
            log.info("prefetch", messages=level)
