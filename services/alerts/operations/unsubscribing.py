"""Ends a subscription by mail for whoever gets the mails; whose it is the signed link has said before."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.subscribers.disabling import switch_off
from shared.logs import get_logger
from shared.models import DisabledBecause, Language

FIND = """
    SELECT t.name AS tenant_name, s.name, s.language, s.enabled
    FROM subscription s JOIN tenant t ON t.id = s.tenant_id
    WHERE s.id = :id AND s.mail_address IS NOT NULL AND s.deleted_at IS NULL
"""
LOOK = text(FIND)
# Two who end it, or one who replaces it meanwhile, come one after the other.
LOCK = text(f"{FIND} FOR NO KEY UPDATE OF s")

log = get_logger(__name__)


@dataclass(frozen=True)
class MailSubscription:
    """What its reader is told of it; `enabled` while mails go out."""

    tenant_name: str
    name: str
    language: Language
    enabled: bool


async def mail_subscription(engine: AsyncEngine, subscription_id: UUID) -> MailSubscription | None:
    """The subscription, whosever it is; None where there is none, or it was removed."""
    async with engine.connect() as connection:
        return await _find(connection, LOOK, subscription_id)


async def unsubscribe(engine: AsyncEngine, subscription_id: UUID, *, now: datetime) -> MailSubscription | None:
    """The subscription as it was before; None where there is none. One that is disabled stays as it is.

    The tenant's others are not told: whoever reads the mails wanted it so.
    """
    async with engine.begin() as connection:
        found = await _find(connection, LOCK, subscription_id)
        if found is None or not found.enabled:
            return found
        await switch_off(connection, subscription_id, because=DisabledBecause.UNSUBSCRIBED, now=now)
    log.info("unsubscribed", subscription_id=str(subscription_id))
    return found


async def _find(connection: AsyncConnection, statement: TextClause, subscription_id: UUID) -> MailSubscription | None:
    row = (await connection.execute(statement, {"id": subscription_id})).one_or_none()
    return None if row is None else MailSubscription(row.tenant_name, row.name, Language(row.language), row.enabled)
