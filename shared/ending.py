"""Ends tasks that run until they are cancelled."""

import asyncio
from typing import Any

AGAIN_AFTER_S = 2.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they have ended, however that is.

    A cancellation may be lost: `asyncio.wait_for` before Python 3.12, and libraries that connect by it, swallow one
    that comes in the moment in which what they wait for happens. So it is said again to those that go on.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_AFTER_S)
