"""Group commit: what waits is written together, and each waiter learns of its own item when it is durable.

Handlers run concurrently and `submit` one item each. A writer takes all that waits, up to a weight, writes it in one
go, and resolves the waiters together. There is no timer: idle means no added latency, load means larger batches.

The writers are tasks of their own, because a lost broker connection cancels the handlers in mid-flight, and a batch
must not be torn by that.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.logs import get_logger

T = TypeVar("T")
R = TypeVar("R")

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
"""Work goes on within this time of the database's return."""

log = get_logger(__name__)


@dataclass(frozen=True)
class _Waiting(Generic[T, R]):
    item: T
    weight: int
    alone: bool
    done: asyncio.Future[R]


class GroupCommit(Generic[T, R]):
    """Writes submitted items in groups, with `writers` at work at once, while `running()` lasts.

    Args:
        write: writes items durably and returns a result for each, in their order. It is repeated when it fails, so
            it must be idempotent.
        weigh: the weight of an item, such as its size in bytes.
        max_weight: a batch is closed before it outweighs this; a heavier item makes a batch of its own.
        writers: how many batches are written at once.
        refuses_data: whether an error of `write` is the data's fault. Such a batch is halved until the culprit stands
            alone and its waiter gets the error. Any other error is waited out: the same batch again, for as long as
            it takes.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        weigh: Callable[[T], int],
        max_weight: int,
        writers: int,
        refuses_data: Callable[[Exception], bool],
    ) -> None:
        self._write = write
        self._weigh = weigh
        self._max_weight = max_weight
        self._writers = writers
        self._refuses_data = refuses_data
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._arrived = asyncio.Condition()
        self._unresolved: set[asyncio.Future[R]] = set()

    @property
    def in_hand(self) -> int:
        """How many items wait or are being written."""
        return len(self._unresolved)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the block ends, and then what still has a waiter; what nobody waits for is dropped.

        The one who submits must have come to an end before: here the broker's consumer, which either waits for its
        handlers or cancels them, and then their messages are delivered again.
        """
        async with asyncio.TaskGroup() as tasks:
            writers = [tasks.create_task(self._run(), name=f"group-commit-{n}") for n in range(self._writers)]
            yield
            if self._unresolved:
                await asyncio.wait(self._unresolved)
            for writer in writers:
                writer.cancel()

    async def submit(self, item: T, *, alone: bool = False) -> R:
        """Wait until `item` is written, and return its result; raise the error of one that cannot be.

        `alone` keeps others out of its batch: for an item that may take its writer down.
        """
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._unresolved.add(done)
        done.add_done_callback(self._unresolved.discard)
        async with self._arrived:
            self._waiting.append(_Waiting(item, self._weigh(item), alone, done))
            self._arrived.notify()
        return await done

    async def _run(self) -> None:
        while True:
            async with self._arrived:
                await self._arrived.wait_for(lambda: self._waiting)
                batch = self._take()
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
        retry_s = FIRST_RETRY_S
        while not self._given_up(batch):
            try:
                results = await self._write([waiting.item for waiting in batch])
            except Exception as error:  # noqa: BLE001 - every error is either the data's fault or waited out
                if self._refuses_data(error):
                    await self._isolate(batch, error)
                    return
                log.warning("write_failed", error=repr(error), items=len(batch), retry_in_s=round(retry_s, 2))
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)
            else:
                for waiting, result in zip(batch, results, strict=True):
                    if not waiting.done.done():
                        waiting.done.set_result(result)
                return

    async def _isolate(self, batch: list[_Waiting[T, R]], error: Exception) -> None:
        if len(batch) == 1:
            (culprit,) = batch
            if not culprit.done.done():
                culprit.done.set_exception(error)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    def _given_up(self, batch: list[_Waiting[T, R]]) -> bool:
        """Whether nobody waits any more: the broker has taken the messages back and will deliver them again."""
        return all(waiting.done.cancelled() for waiting in batch)
