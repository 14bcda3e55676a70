"""Group commit: what waits is written together, and each waiter learns of its own item when it is durable.

Many `submit` or `enqueue` one item each. A writer takes all that waits, up to a weight, writes it in one go, and
resolves the waiters together. There is no timer: idle means no added latency, load means larger batches.

The writers are tasks of their own, because a lost broker connection cancels those who wait in mid-flight, and a batch
must not be torn by that.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shared.logs import get_logger

T = TypeVar("T")
R = TypeVar("R")

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
"""Work goes on within this time of the database's return."""

SUSPICIOUS_TRIES = 3
"""After so many tries in a row that failed in a way that a batch may cause by itself, it is halved."""

STRIKES = 5
"""An item that failed alone, `SUSPICIOUS_TRIES` times in a row, is the culprit when that has happened so
often, and each time others had been written in between: half a minute, and the time of the tries."""

NOT_READY_AFTER_S = 30.0
"""A restart of the database takes less; a full disk, with which it still answers, does not pass by itself."""

log = get_logger(__name__)


class NothingWrittenError(Exception):
    """Every try to write has failed for a while, whatever else the database answers."""


@dataclass(frozen=True)
class _Waiting(Generic[T, R]):
    item: T
    weight: int
    alone: bool
    done: asyncio.Future[R]
    strikes: int = 0
    """How often it failed alone, again and again, after others had been written since the last time."""
    judged_at: int | None = None
    """How many batches had been written by that time."""


class GroupCommit(Generic[T, R]):
    """Writes submitted items in groups, with `writers` at work at once, while `running()` lasts.

    Args:
        write: writes items durably and returns a result for each, in their order. It is repeated when it fails, so
            it must be idempotent.
        weigh: the weight of an item, such as its size in bytes.
        max_weight: a batch is closed before it outweighs this; a heavier item makes a batch of its own, and of those
            one is written at a time.
        writers: how many batches are written at once.
        refuses_data: whether an error of `write` is the data's fault. Such a batch is halved until the culprit stands
            alone and its waiter gets the error. Any other error is waited out: the same batch again, for as long as
            it takes.
        suspects_data: whether an error that is waited out may also be the batch's own doing, such as a lack of memory.
            A batch that only meets such errors is halved after `SUSPICIOUS_TRIES`. An item that then stands alone
            gives way to the others, and gets the error when it goes on failing while they are written (`STRIKES`).
        on_failure: hears of each failed try.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        weigh: Callable[[T], int],
        max_weight: int,
        writers: int,
        refuses_data: Callable[[Exception], bool],
        suspects_data: Callable[[Exception], bool] = lambda _: False,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._write = write
        self._weigh = weigh
        self._max_weight = max_weight
        self._writers = writers
        self._refuses_data = refuses_data
        self._suspects_data = suspects_data
        self._on_failure = on_failure
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._arrived = asyncio.Event()
        self._outweighs = asyncio.Lock()
        self._unresolved: dict[asyncio.Future[R], tuple[T, int]] = {}
        self._weight_in_hand = 0
        self._written = 0
        self._failing_since: float | None = None

    @property
    def in_hand(self) -> int:
        """How many items wait or are being written."""
        return len(self._unresolved)

    @property
    def weight_in_hand(self) -> int:
        """The weight of all that wait or are being written."""
        return self._weight_in_hand

    @property
    def items_in_hand(self) -> list[T]:
        """The items that wait or are being written, in the order in which they came."""
        return [item for item, _ in self._unresolved.values()]

    @property
    def failing_for_s(self) -> float:
        """For how many seconds something has been in hand of which every try to write has failed."""
        if self._failing_since is None or not self._unresolved:
            return 0.0
        return time.monotonic() - self._failing_since

    async def check(self) -> None:
        """A readiness check: raises `NothingWrittenError` while writing has failed for `NOT_READY_AFTER_S`."""
        if self.failing_for_s > NOT_READY_AFTER_S:
            raise NothingWrittenError(f"every write has failed for {self.failing_for_s:.0f} s")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the block ends, and then what still has a waiter; what nobody waits for is dropped.

        The one who submits must have come to an end before: here the broker's consumer, which either waits for what it
        has in hand or gives it up, and then it is delivered again.
        """
        async with asyncio.TaskGroup() as tasks:
            writers = [tasks.create_task(self._run(), name=f"group-commit-{n}") for n in range(self._writers)]
            yield
            if self._unresolved:
                await asyncio.wait(self._unresolved)
            for writer in writers:
                writer.cancel()

    async def submit(self, item: T, *, alone: bool = False) -> R:
        """Wait until `item` is written, and return its result; raise the error of one that cannot be."""
        return await self.enqueue(item, alone=alone)

    def enqueue(self, item: T, *, alone: bool = False) -> "asyncio.Future[R]":
        """Let `item` be written: its result when it is, or the error of one that cannot be. Cancelled, it is dropped.

        `alone` keeps others out of its batch: for an item that may take its writer down.
        """
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        weight = self._weigh(item)
        if not self._unresolved:
            self._failing_since = None
        self._unresolved[done] = item, weight
        self._weight_in_hand += weight
        done.add_done_callback(self._resolved)
        self._wait(_Waiting(item, weight, alone, done))
        return done

    def _wait(self, waiting: _Waiting[T, R]) -> None:
        self._waiting.append(waiting)
        self._arrived.set()

    def _resolved(self, done: asyncio.Future[R]) -> None:
        _, weight = self._unresolved.pop(done)
        self._weight_in_hand -= weight

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._take()
            if not self._waiting:
                self._arrived.clear()
            if sum(waiting.weight for waiting in batch) > self._max_weight:
                # Two of those at once would take twice the memory.
                async with self._outweighs:
                    await self._settle(batch)
            elif batch:
                await self._settle(batch)

    def _take(self) -> list[_Waiting[T, R]]:
        batch: list[_Waiting[T, R]] = []
        weight = 0
        while self._waiting:
            first = self._waiting[0]
            if first.done.cancelled():
                self._waiting.popleft()
                continue
            if batch and (first.alone or weight + first.weight > self._max_weight):
                break
            batch.append(self._waiting.popleft())
            weight += first.weight
            if first.alone:
                break
        return batch

    async def _settle(self, batch: list[_Waiting[T, R]]) -> None:
        """Write `batch`, whole or in parts, and resolve every waiter in it."""
        retry_s = min(FIRST_RETRY_S * 2 ** batch[0].strikes, LONGEST_RETRY_S)
        suspicions = 0
        while not self._given_up(batch):
            try:
                results = await self._write([waiting.item for waiting in batch])
            except Exception as error:  # noqa: BLE001 - every error is either the data's fault or waited out
                self._on_failure(error)
                if self._refuses_data(error):
                    await self._isolate(batch, error)
                    return
                if self._failing_since is None:
                    self._failing_since = time.monotonic()
                log.warning("write_failed", error=repr(error), items=len(batch), retry_in_s=round(retry_s, 2))
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)
                suspicions = suspicions + 1 if self._suspects_data(error) else 0
                if suspicions == SUSPICIOUS_TRIES:
                    await self._suspect(batch, error)
                    return
            else:
                self._written += 1
                self._failing_since = None
                for waiting, result in zip(batch, results, strict=True):
                    if not waiting.done.done():
                        waiting.done.set_result(result)
                return

    async def _isolate(self, batch: list[_Waiting[T, R]], error: Exception) -> None:
        if len(batch) > 1:
            await self._halve(batch)
        elif not batch[0].done.done():
            batch[0].done.set_exception(error)

    async def _suspect(self, batch: list[_Waiting[T, R]], error: Exception) -> None:
        """Find out whether it is the batch: smaller parts may do, and one item alone that fails while others do not."""
        if len(batch) > 1:
            await self._halve(batch)
            return
        (suspect,) = batch
        strikes = suspect.strikes + (suspect.judged_at is not None and self._written > suspect.judged_at)
        if strikes == STRIKES:
            await self._isolate(batch, error)
            return
        self._wait(replace(suspect, alone=True, strikes=strikes, judged_at=self._written))

    async def _halve(self, batch: list[_Waiting[T, R]]) -> None:
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    def _given_up(self, batch: list[_Waiting[T, R]]) -> bool:
        """Whether nobody waits any more: the broker has taken the messages back and will deliver them again."""
        return all(waiting.done.cancelled() for waiting in batch)
