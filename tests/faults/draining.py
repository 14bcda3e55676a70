"""Lets ingests consume all that lies in their queue, and stops them."""

import asyncio
from collections.abc import Sequence

from shared import topology
from shared.broker import UNREACHABLE, broker_may_be_away
from tests.faults.processes import Ingest
from tests.support.messages import open_channel

ANSWER_S = 5.0
LOOK_EVERY_S = 0.2


async def waiting(url: str, queue: str = topology.INGEST_READINGS) -> int | None:
    """How many messages are ready in the queue; None where the broker does not tell."""
    try:
        with broker_may_be_away():
            async with asyncio.timeout(ANSWER_S), open_channel(url) as channel:
                declared = await channel.declare_queue(queue, passive=True)
                return declared.declaration_result.message_count
    except UNREACHABLE:
        return None


async def drain(url: str, ingests: Sequence[Ingest]) -> None:
    """Wait until nothing is in the queue or in hand any more, and see each of `ingests`, which run, end in order."""
    while True:
        while await waiting(url) != 0:  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(LOOK_EVERY_S)
        for ingest in ingests:
            await ingest.stop()
        if await waiting(url) == 0:
            return
        # Not acknowledged yet when they stopped: it came back.
        for ingest in ingests:
            await ingest.start()
