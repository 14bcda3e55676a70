"""Group commit: batches, isolation of a culprit, waiting out what passes, and the end."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from shared.group_commit import STRIKES, SUSPICIOUS_TRIES, GroupCommit, NothingWrittenError


class BadItemError(Exception):
    pass


class HeavyError(Exception):
    pass


class Ledger:
    """A write that keeps what was committed, and fails as it is told."""

    def __init__(self, fail: Callable[[Sequence[int]], Exception | None] = lambda _: None) -> None:
        self.taken: list[list[int]] = []
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._fail = fail

    async def write(self, items: Sequence[int]) -> list[str]:
        self.taken.append(list(items))
        await self.gate.wait()
        error = self._fail(items)
        if error is not None:
            raise error
        self.batches.append(list(items))
        return [f"wrote {item}" for item in items]


def group(ledger: Ledger, *, writers: int = 1, max_weight: int = 1000) -> GroupCommit[int, str]:
    return GroupCommit(
        ledger.write,
        weigh=lambda _: 1,
        max_weight=max_weight,
        writers=writers,
        refuses_data=lambda error: isinstance(error, BadItemError),
        suspects_data=lambda error: isinstance(error, HeavyError),
    )


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.group_commit.FIRST_RETRY_S", 0.001)


async def test_what_waits_is_written_together_and_each_gets_its_own_result() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    commits = group(ledger)
    async with commits.running():
        first = asyncio.create_task(commits.submit(0))
        await until(lambda: ledger.taken == [[0]])
        rest = [asyncio.create_task(commits.submit(n)) for n in range(1, 50)]
        await until(lambda: commits_waiting(commits) == 49)
        ledger.gate.set()
        assert await asyncio.gather(first, *rest) == [f"wrote {n}" for n in range(50)]
    assert ledger.batches == [[0], list(range(1, 50))]


async def test_a_batch_does_not_outweigh_its_limit_and_a_heavy_item_stands_alone() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    commits = GroupCommit(ledger.write, weigh=lambda item: item, max_weight=10, writers=1, refuses_data=lambda _: False)
    async with commits.running():
        first = asyncio.create_task(commits.submit(1))
        await until(lambda: ledger.taken == [[1]])
        rest = [asyncio.create_task(commits.submit(weight)) for weight in (4, 6, 99, 5, 5, 1)]
        await until(lambda: commits_waiting(commits) == 6)
        ledger.gate.set()
        await asyncio.gather(first, *rest)
    assert ledger.batches == [[1], [4, 6], [99], [5, 5], [1]]


async def test_of_items_heavier_than_a_batch_one_is_written_at_a_time_and_light_ones_meanwhile() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    commits = GroupCommit(ledger.write, weigh=lambda item: item, max_weight=10, writers=3, refuses_data=lambda _: False)
    async with commits.running():
        tasks = [asyncio.create_task(commits.submit(weight)) for weight in (98, 99, 5)]
        await until(lambda: commits_waiting(commits) == 0)
        await until(lambda: len(ledger.taken) == 2)
        assert sorted(ledger.taken) == [[5], [98]]
        ledger.gate.set()
        await asyncio.gather(*tasks)
    assert sorted(ledger.batches) == [[5], [98], [99]]


async def test_an_item_that_asks_for_it_is_written_alone() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    commits = group(ledger)
    async with commits.running():
        tasks = [asyncio.create_task(commits.submit(n, alone=n == 3)) for n in range(6)]
        await until(lambda: commits_waiting(commits) >= 5)
        ledger.gate.set()
        await asyncio.gather(*tasks)
    assert [3] in ledger.batches
    assert sorted(item for batch in ledger.batches for item in batch) == list(range(6))


async def test_one_culprit_among_many_gets_the_error_and_the_others_are_written_once() -> None:
    ledger = Ledger(lambda items: BadItemError("no") if 37 in items else None)
    ledger.gate.clear()
    commits = group(ledger)
    async with commits.running():
        tasks = [asyncio.create_task(commits.submit(n)) for n in range(100)]
        await until(lambda: commits_waiting(commits) >= 99)
        ledger.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, BadItemError)] == [37]
    written = sorted(item for batch in ledger.batches for item in batch)
    assert written == [n for n in range(100) if n != 37]


async def test_a_passing_error_is_waited_out_with_the_same_batch() -> None:
    failures = iter([ConnectionRefusedError(), TimeoutError(), None])
    ledger = Ledger(lambda _: next(failures))
    commits = group(ledger)
    async with commits.running():
        assert await commits.submit(7) == "wrote 7"
    assert ledger.batches == [[7]]


@pytest.mark.usefixtures("no_pauses")
async def test_a_batch_that_asks_too_much_of_the_database_is_written_in_parts() -> None:
    ledger = Ledger(lambda items: HeavyError() if len(items) > 3 else None)
    ledger.gate.clear()
    commits = group(ledger)
    async with commits.running():
        first = asyncio.create_task(commits.submit(0))
        await until(lambda: ledger.taken == [[0]])
        rest = [asyncio.create_task(commits.submit(n)) for n in range(1, 13)]
        await until(lambda: commits_waiting(commits) == 12)
        ledger.gate.set()
        assert await asyncio.gather(first, *rest) == [f"wrote {n}" for n in range(13)]
    assert ledger.batches == [[0], [1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert ledger.taken.count(list(range(1, 13))) == SUSPICIOUS_TRIES


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("writers", [1, 2])
async def test_an_item_that_alone_asks_too_much_gets_the_error_once_others_are_written_and_not_before(
    writers: int,
) -> None:
    ledger = Ledger(lambda items: HeavyError() if 7 in items else None)
    commits = group(ledger, writers=writers)
    async with commits.running():
        heavy = asyncio.create_task(commits.submit(7))
        # By itself it proves nothing: the database may be in need.
        await until(lambda: ledger.taken.count([7]) > 2 * STRIKES * SUSPICIOUS_TRIES)
        assert not heavy.done()
        # It does not keep the others from being written, and they show in the end whose fault it is.
        others = 0
        while not heavy.done():
            await commits.submit(8)
            others += 1
            await asyncio.sleep(0)
        with pytest.raises(HeavyError):
            await heavy
    assert others >= STRIKES
    assert ledger.batches == [[8]] * others


async def test_what_is_in_hand_and_for_how_long_nothing_could_be_written_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.group_commit.NOT_READY_AFTER_S", 0.05)
    broken = True
    commits = group(Ledger(lambda _: ConnectionRefusedError() if broken else None))
    async with commits.running():
        await commits.check()
        tasks = [asyncio.create_task(commits.submit(n)) for n in range(3)]
        await until(lambda: commits.failing_for_s > 0.05)
        with pytest.raises(NothingWrittenError):
            await commits.check()
        assert (commits.in_hand, commits.weight_in_hand, commits.items_in_hand) == (3, 3, [0, 1, 2])
        broken = False
        await asyncio.gather(*tasks)
        await commits.check()
        assert (commits.in_hand, commits.weight_in_hand, commits.items_in_hand) == (0, 0, [])


async def test_several_writers_work_at_once_and_none_writes_an_item_twice() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    commits = group(ledger, writers=3, max_weight=2)
    async with commits.running():
        tasks = [asyncio.create_task(commits.submit(n)) for n in range(20)]
        await until(lambda: 0 < commits_waiting(commits) <= 17)
        ledger.gate.set()
        await asyncio.gather(*tasks)
    assert sorted(item for batch in ledger.batches for item in batch) == list(range(20))
    assert all(len(batch) <= 2 for batch in ledger.batches)


async def test_the_end_waits_for_those_who_wait_and_drops_what_nobody_waits_for() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    commits = group(ledger)
    async with asyncio.timeout(5):
        async with commits.running():
            kept = asyncio.create_task(commits.submit(1))
            await until(lambda: ledger.taken == [[1]])
            gone = asyncio.create_task(commits.submit(2))
            await until(lambda: commits_waiting(commits) == 1)
            gone.cancel()
            asyncio.get_running_loop().call_later(0.05, ledger.gate.set)
        assert await kept == "wrote 1"
    assert ledger.batches == [[1]]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_batch_that_everyone_gave_up_is_not_retried() -> None:
    attempts = 0

    def fail(_: Sequence[int]) -> Exception:
        nonlocal attempts
        attempts += 1
        return ConnectionRefusedError()

    commits = group(Ledger(fail))
    async with commits.running():
        task = asyncio.create_task(commits.submit(1))
        await until(lambda: attempts > 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The writer is free again for the next one, which it would not be if it went on with the first.
        following = asyncio.create_task(commits.submit(2))
        seen = attempts
        await until(lambda: attempts > seen)
        following.cancel()


def commits_waiting(commits: GroupCommit[int, str]) -> int:
    return len(commits._waiting)  # noqa: SLF001 - the only way to see that a batch was taken


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is the code's own state, which signals nothing
            await asyncio.sleep(0)
