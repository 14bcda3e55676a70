"""What the quarantine of a test's database holds."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import QuarantinedReading


async def quarantined(engine: AsyncEngine, *, waiting: bool | None = None) -> list[QuarantinedReading]:
    """Every row, by id; only those that wait, or only those that were replayed."""
    query = select(QuarantinedReading).order_by(QuarantinedReading.id)
    if waiting is not None:
        query = query.where(QuarantinedReading.replayed_at.is_(None) == waiting)
    async with create_sessions(engine)() as session:
        return list(await session.scalars(query))
