"""The life of one channel: its messages in hand, and the acknowledgement of those that are dealt with."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

from aiormq import Channel
from aiormq.abc import DeliveredMessage

from services.ingest.window import Window
from shared.broker import LOOK_EVERY_S, RETRY_S, UNREACHABLE, broker_may_be_away
from shared.broker_connection import ANSWER_S
from shared.logs import get_logger
from shared.message_handlers import places

log = get_logger(__name__)


class Handling(Protocol):
    """A message that somebody deals with: until the promise is kept or broken, and then by the last step."""

    @property
    def promise(self) -> "asyncio.Future[Any]":
        """Cancelled, nobody waits for it any more."""

    def last_step(self) -> Coroutine[Any, Any, None] | None:
        """What is left to do before the message is acknowledged; if that fails, the message is given back."""


Begin = Callable[[DeliveredMessage], Handling]
"""Begins to deal with a message."""


class Session:
    """Consumes on `channel`, until it is closed or the consumer is gone."""

    def __init__(self, channel: Channel, queue: str, window: Window, begin: Begin) -> None:
        self.id = uuid4()
        self._channel = channel
        self._queue = queue
        self._window = window
        self._begin = begin
        self._consumer: str | None = None
        self._numbers = itertools.count(1)
        self._spells = itertools.count(1)
        self._spell: int | None = None
        self._asked_for = 0
        self._in_hand: dict[int, Handling] = {}
        self._bytes_in_hand = 0
        self._last_steps: set[asyncio.Task[None]] = set()
        self._done: list[int] = []
        self._given_up = False
        self._received = 0
        self.dealt_with = 0
        """All messages up to this tag have left our hands."""
        self._ahead: set[int] = set()
        """Those beyond it that have left them too."""
        self.given_back = 0
        """How many messages went back to the queue: those behind them come first."""
        self.prioritised = 0
        """How many messages have a priority: they may overtake others."""
        self._something_done = asyncio.Event()

    @property
    def consuming(self) -> bool:
        """Whether messages come, or will when there is room for them."""
        return not self.lost and (self._consumer is None or self._consumer in self._channel.consumers)

    @property
    def lost(self) -> bool:
        """Whether the channel is closed."""
        return self._channel.is_closed

    @property
    def consumer(self) -> int | None:
        """The number of the time through which the broker surely counts a consumer of ours; None: perhaps it does not.

        It counts one that was cancelled, too, as long as that has messages in hand.
        """
        return self._spell if self.consuming else None

    async def caught_up(self) -> int:
        """The newest delivery tag, when all that the broker had sent by now has arrived, and all that was told it."""
        # The answer to this comes after all. No timeout: a call that is given up closes the channel.
        await self._channel.basic_qos(prefetch_count=self._asked_for)
        return self._received

    async def start(self) -> None:
        """Begin to receive."""
        await self._start(self._window.size)

    async def _start(self, size: int) -> None:
        self._asked_for = size
        await self._channel.basic_qos(prefetch_count=self._asked_for)
        # Named here, so that the first messages are known to be its own.
        self._consumer = f"ingest-{next(self._numbers)}"
        await self._channel.basic_consume(self._queue, self._receive, consumer_tag=self._consumer)
        self._spell = self._spell or next(self._spells)

    async def last(self, stopping: asyncio.Event) -> None:
        """Acknowledge what is dealt with, until nothing is consumed any more or it is to stop."""
        while self.consuming and not stopping.is_set():
            # No single event says that consumption has ended: the library has many.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._something_done.wait(), LOOK_EVERY_S)
            async with asyncio.timeout(ANSWER_S):
                # The library takes no more than a few frames for a connection that has just ended, and waits for ever.
                await self._acknowledge()
                await self._adapt()

    async def _adapt(self) -> None:
        """Ask for another number of messages, when that is worth it and as soon as there is room for so many."""
        if self._consumer is not None and self._window.is_worth_changing(self._asked_for, in_hand=len(self._in_hand)):
            await self._cancel()
        if self._consumer is None and (size := self._window.beside(len(self._in_hand))):
            await self._start(size)

    async def drain(self, grace_s: float) -> bool:
        """Receive no more, and deal with what is in hand for `grace_s` seconds; whether that was all."""
        try:
            async with asyncio.timeout(grace_s):
                await self._cancel()
                while self._in_hand or self._last_steps:
                    waiting = [*(handling.promise for handling in self._in_hand.values()), *self._last_steps]
                    await asyncio.wait(waiting, timeout=LOOK_EVERY_S)
                    await self._acknowledge()
        except TimeoutError:
            log.warning("not_drained", in_hand=len(self._in_hand) + len(self._last_steps), grace_s=grace_s)
        # What the library has not sent when it closes the connection is dropped.
        async with asyncio.timeout(ANSWER_S):
            await self._acknowledge()
            return await self.caught_up() == self.dealt_with

    def give_up(self) -> None:
        """Forget what is in hand: the broker has it back, or takes it back when the channel is closed."""
        self._given_up = True
        for waiting in [*(handling.promise for handling in self._in_hand.values()), *self._last_steps]:
            waiting.cancel()

    async def _cancel(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._end_spell()
        if consumer is not None:
            await self._channel.basic_cancel(consumer)

    def _end_spell(self) -> None:
        """Before the broker is told what may leave it none to count: no consumer is left, and nothing in hand."""
        if self._consumer is None and not self._in_hand:
            self._spell = None

    async def _receive(self, message: DeliveredMessage) -> None:
        tag = message.delivery_tag
        if self._given_up or tag is None:
            return
        self._received = tag
        self.prioritised += bool(message.header.properties.priority)
        size = len(message.body)
        self._window.came(size)
        if self._window.size < self._asked_for:
            self._something_done.set()
        # Never what the present consumer brings: it would be here again at once.
        if self._window.is_too_much(self._bytes_in_hand + size) and message.consumer_tag != self._consumer:
            await self._give_back(tag)
            return
        try:
            handling = self._begin(message)
        except Exception as error:  # noqa: BLE001 - a fault of the program; it must not keep the message for ever
            self._finish(tag, _fail(error))
            return
        self._in_hand[tag] = handling
        self._bytes_in_hand += size
        handling.promise.add_done_callback(lambda _: self._dealt_with(tag, size))

    def _dealt_with(self, tag: int, size: int) -> None:
        handling = self._in_hand.pop(tag)
        self._bytes_in_hand -= size
        if handling.promise.cancelled() or self._given_up:
            return
        left = handling.last_step()
        if left is None:
            self._leave(tag)
        else:
            self._finish(tag, left)

    def _finish(self, tag: int, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._take_last_step(tag, step))
        self._last_steps.add(task)
        task.add_done_callback(self._last_steps.discard)

    def _leave(self, tag: int) -> None:
        self._done.append(tag)
        self._something_done.set()

    async def _take_last_step(self, tag: int, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except Exception as error:  # noqa: BLE001 - whatever it is, the broker has to try again
            # Not the error's text: it may hold what was in the message.
            kind, at = type(error).__name__, places(error.__traceback__)
            log.warning("message_returned", error=kind, at=at, returned_in_s=RETRY_S)
            # What failed will fail again at once, hundreds of times a second.
            await asyncio.sleep(RETRY_S)
            await self._give_back(tag)
        else:
            self._leave(tag)

    async def _give_back(self, tag: int) -> None:
        with suppress(*UNREACHABLE), broker_may_be_away():  # then the broker has it back already
            self.given_back += 1
            self._end_spell()
            await self._channel.basic_nack(tag, requeue=True, wait=False)
            self._ahead.add(tag)

    async def _acknowledge(self) -> None:
        """Tell the broker what is dealt with: in one frame all up to the first that is not, and the others singly."""
        self._something_done.clear()
        done, self._done = self._done, []
        self._ahead.update(done)
        up_to = self.dealt_with
        while up_to + 1 in self._ahead:
            up_to += 1
            self._ahead.discard(up_to)
        self.dealt_with = up_to
        self._end_spell()
        # RabbitMQ closes the channel for a tag that it has been told before: it must be one of these.
        together = [tag for tag in done if tag <= up_to]
        if together:
            await self._channel.basic_ack(max(together), multiple=True, wait=False)
        for tag in done:
            if tag > up_to:
                await self._channel.basic_ack(tag, wait=False)


async def _fail(error: Exception) -> None:
    raise error
