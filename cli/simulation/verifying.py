"""Checks that what a fleet sent is in the database: all of it, and nothing twice."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.fleet.gateways import Ticks
from cli.simulation.progress import shown

PATIENCE_S = 120.0
"""How long the count may stand still before it counts as final."""

SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

# Other readings of the same meters, such as those of the present, lie between the ticks.
COUNT = text(
    "SELECT count(*) FROM reading WHERE meter_installation_id = ANY(:installations)"
    " AND timestamp BETWEEN :first AND :last"
    " AND mod(extract(epoch FROM timestamp - cast(:first AS timestamptz))::bigint, :step) = 0"
)


async def verify(
    engine: AsyncEngine, installations: Sequence[UUID], ticks: Ticks, expected: int, *, patience_s: float = PATIENCE_S
) -> None:
    """Return when the database has exactly `expected` readings of the meters at the ticks.

    Raises `CommandError` when it has more, or when it has fewer and none was added for `patience_s` seconds.
    """
    loop = asyncio.get_running_loop()
    begun = grown_at = loop.time()
    stored = 0
    with shown("stored", expected) as advance:
        while stored != expected:
            count = await _count(engine, installations, ticks)
            now = loop.time()
            advance(count - stored)
            if count != stored:
                stored, grown_at = count, now
            if stored > expected:
                raise CommandError(
                    f"the database has {stored:,} readings of this fleet and time, sent were {expected:,}"
                )
            if now - grown_at > patience_s:
                raise CommandError(f"only {stored:,} of {expected:,} readings are in the database, and no more arrive")
            if stored < expected:
                await asyncio.sleep(_pause_s(stored, expected - stored, now - begun))


def _pause_s(stored: int, missing: int, elapsed_s: float) -> float:
    """Until half of what is missing should be there: counting takes the machine's time from ingest."""
    halfway_s = missing / stored * elapsed_s / 2 if stored else 0.0
    return min(max(halfway_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)


async def _count(engine: AsyncEngine, installations: Sequence[UUID], ticks: Ticks) -> int:
    async with engine.connect() as connection:
        counted = await connection.scalar(
            COUNT,
            {
                "installations": list(installations),
                "first": datetime.fromtimestamp(ticks.first, UTC),
                "last": datetime.fromtimestamp(ticks.last, UTC),
                "step": ticks.step_s,
            },
        )
    return int(counted or 0)
