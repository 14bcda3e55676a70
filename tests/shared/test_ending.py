"""Tasks that should end do, also those that miss that."""

import asyncio
from contextlib import suppress

import pytest

from shared import ending


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_AFTER_S", 0.01)
    swallowed = 0

    async def swallow(times: int) -> None:
        nonlocal swallowed
        for _ in range(times):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            swallowed += 1
        await asyncio.sleep(3600)

    tasks = [asyncio.create_task(swallow(times)) for times in (0, 2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ending.end(*tasks)
    assert all(task.cancelled() for task in tasks)
    assert swallowed == 2


async def test_nothing_to_end_is_no_trouble() -> None:
    await ending.end()
