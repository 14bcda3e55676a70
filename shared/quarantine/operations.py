"""Replays or discards all that a selection means, a few at a time, each few in a transaction of their own."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import Clock
from shared.models import QuarantinedReading
from shared.quarantine.queries import newest_id, next_ids
from shared.quarantine.replay import ROWS_AT_ONCE, Publish, replay
from shared.quarantine.selection import Selection

DISCARDED_AT_ONCE = 1_000


async def replay_all(
    engine: AsyncEngine, selection: Selection, publish: Publish, clock: Clock
) -> AsyncIterator[tuple[int, int]]:
    """Replay what is there and selected now; yields how many more are, and how many are left to others at it.

    Each is replayed once, also what comes back meanwhile. Raises the error of a publish, after the others of its few
    have been marked.
    """
    async for ids in _few_at_once(engine, selection, ROWS_AT_ONCE):
        # The conditions again: what was replayed or came back meanwhile may not be meant any more.
        chosen = select(QuarantinedReading.id).where(QuarantinedReading.id.in_(ids), *selection.conditions())
        replayed = await replay(engine, chosen, publish, now=clock())
        yield len(replayed.ids), 0 if replayed.error else len(ids) - len(replayed.ids)
        if replayed.error is not None:
            raise replayed.error


async def discard_all(engine: AsyncEngine, selection: Selection) -> AsyncIterator[int]:
    """Delete what is there and selected now; yields how many more are."""
    async for ids in _few_at_once(engine, selection, DISCARDED_AT_ONCE):
        async with engine.begin() as connection:
            deleted = await connection.execute(
                delete(QuarantinedReading).where(QuarantinedReading.id.in_(ids), *selection.conditions())
            )
        yield deleted.rowcount


async def _few_at_once(engine: AsyncEngine, selection: Selection, few: int) -> AsyncIterator[Sequence[int]]:
    """The ids of what is selected and there now, in their order."""
    after, up_to = 0, await newest_id(engine)
    while ids := await next_ids(engine, selection, after=after, up_to=up_to, limit=few):
        yield ids
        after = ids[-1]
