"""Messages that came back so often that one of them may be what takes the worker down: one at a time, after others.

Which of them it is, no count of deliveries tells: a worker that dies returns all that it had in hand. So the others
must get through though the one takes each worker down in the end. The order is another one in each worker's life.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SUSPICIOUS_DELIVERIES = 3
"""A message that came back this often is a suspect."""

STEP_BACK_S = 1.0
"""For so long at least, and twice that at most, it lets all others go first."""


class Suspects:
    """The suspects in hand of one worker."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is the turn of one of them."""
        await asyncio.sleep(random.uniform(STEP_BACK_S, 2 * STEP_BACK_S))  # noqa: S311 - an order, not a secret
        async with self._one_at_a_time:
            yield
