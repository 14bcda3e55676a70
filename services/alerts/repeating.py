"""Steps that are done again and again, whatever becomes of one of them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shared.database_errors import refuses_data
from shared.logs import get_logger

TICK_S = 0.5
"""What has become due, or is to be sent, waits no longer for being looked at."""

log = get_logger(__name__)


async def again_and_again(
    step: Callable[[], Awaitable[None]], at_once: asyncio.Event, *, every_s: float = TICK_S
) -> None:
    """Do `step` every `every_s`, and as soon as `at_once` is set. What goes wrong is logged."""
    while True:
        at_once.clear()
        try:
            await step()
        except Exception as error:
            # A database or broker that is away passes; the next time finds all that this one did not do.
            if refuses_data(error):
                log.exception("tick_failed")
            else:
                log.warning("tick_failed", error=repr(error))
            at_once.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(at_once.wait(), every_s)
