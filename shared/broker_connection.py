"""The connection to the broker that FastStream holds: it can be ended, and made anew, whatever state it is in."""

import asyncio
from urllib.parse import parse_qs, urlsplit, urlunsplit

import aio_pika
import aiormq
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage

from shared.logs import get_logger
from shared.message_handlers import MessageHandlers

CONNECT_TIMEOUT_S = 5.0

HEARTBEAT_S = 20
"""A broker that has gone silent is given up after three times this; it may ask the same of us. The URL may say else."""

ANSWER_S = 2.0
"""How long an end waits for a broker that does not answer, once for the consumers and once for the connection."""

log = get_logger(__name__)


class Broker(RabbitBroker):
    """A FastStream broker that can be stopped and started again whatever state its connection is in."""

    def __init__(self, url: str, *, app_id: str, prefetch: int, graceful_timeout_s: float, retry_s: float) -> None:
        self.handlers = MessageHandlers(pause_s=retry_s)
        self.graceful_timeout_s = graceful_timeout_s
        super().__init__(
            with_heartbeat(url),
            app_id=app_id,
            timeout=CONNECT_TIMEOUT_S,
            default_channel=Channel(prefetch_count=prefetch, on_return_raises=True),
            decoder=_keep_whole,
            middlewares=(self.handlers,),
            apply_types=False,
            graceful_timeout=graceful_timeout_s,
            reconnect_interval=retry_s,
            logger=None,
        )

    async def end(self, *, grace_s: float) -> None:
        """Consume no more and let running handlers finish for `grace_s` seconds, then cancel them and disconnect.

        Takes at most `grace_s` and twice `ANSWER_S` seconds, also when the broker has stopped answering.
        """
        connection = self._connection
        try:
            async with asyncio.timeout(grace_s + ANSWER_S):
                await self.stop()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - what cannot be ended properly is dropped
            _raise_if_cancelled(error)
            log.warning("broker_not_stopped_properly", error=type(error).__name__)
            self.handlers.cancel()
            self._connection = self._channel = None
            self.config.disconnect()
            if connection is not None:
                await _drop(connection)
        finally:
            self.handlers.cancel()

    async def consuming(self) -> bool:
        """Whether every subscriber has a consumer on an open channel."""
        if self._connection is None or not self._connection.connected.is_set():
            return False
        if self._channel is None or self._channel.is_closed:
            return False
        channel = await self._channel.get_underlay_channel()
        return isinstance(channel, aiormq.Channel) and len(channel.consumers) == len(self.subscribers)


def with_heartbeat(url: str) -> str:
    """The URL with a heartbeat of `HEARTBEAT_S` seconds, unless it says another."""
    parts = urlsplit(url)
    if "heartbeat" in parse_qs(parts.query):
        return url
    return urlunsplit(parts._replace(query=f"{parts.query}&heartbeat={HEARTBEAT_S}".removeprefix("&")))


async def _drop(connection: aio_pika.RobustConnection) -> None:
    try:
        async with asyncio.timeout(ANSWER_S):
            await connection.close()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is not used any more
        _raise_if_cancelled(error)
        log.warning("connection_not_closed_properly", error=type(error).__name__)


def _raise_if_cancelled(error: BaseException) -> None:
    """Raise a `CancelledError` that somebody asked for; the others are the library's, for who waits on what closes."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
        raise error


async def _keep_whole(message: RabbitMessage) -> RabbitMessage:
    return message
