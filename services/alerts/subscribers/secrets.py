"""The secrets that a webhook's messages are signed with: those that are good now, the newest first."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

GOOD = text(
    """
    SELECT secret FROM subscription_secret WHERE subscription_id = :id AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY created_at DESC, id
    """
)

NO_MORE = text(
    """
    DELETE FROM subscription_secret
    WHERE expires_at < statement_timestamp()
       OR subscription_id IN (SELECT id FROM subscription WHERE deleted_at IS NOT NULL)
    """
)


async def good_secrets(connection: AsyncConnection, subscription_id: UUID, now: datetime) -> list[str]:
    """As they are signed with, `whsec_…`."""
    return list(await connection.scalars(GOOD, {"id": subscription_id, "now": now}))


async def forget_secrets(engine: AsyncEngine) -> int:
    """Remove those that nothing is signed with any more, and return how many that were."""
    async with engine.begin() as connection:
        return (await connection.execute(NO_MORE)).rowcount
