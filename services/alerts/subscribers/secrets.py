"""The secrets that a webhook's messages are signed with: those that are good now, the newest first."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

GOOD = text(
    """
    SELECT secret FROM subscription_secret WHERE subscription_id = :id AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY created_at DESC, id
    """
)


async def good_secrets(connection: AsyncConnection, subscription_id: UUID, now: datetime) -> list[str]:
    """As they are signed with, `whsec_…`."""
    return list(await connection.scalars(GOOD, {"id": subscription_id, "now": now}))
