"""Rows of subscriptions for tests."""

from base64 import b64encode
from collections.abc import Sequence
from secrets import token_bytes
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import Subscription, SubscriptionSecret


async def add_webhook(
    engine: AsyncEngine,
    tenant_id: UUID,
    url: str = "https://example.com/alerts",
    *,
    name: str = "hook",
    secret: str | None = None,
    event_types: Sequence[str] = (),
    property_ids: Sequence[UUID] = (),
    media: Sequence[str] = (),
) -> UUID:
    """One that is enabled; its id."""
    return await _add(
        engine,
        Subscription(
            tenant_id=tenant_id,
            name=name,
            url=url,
            event_types=list(event_types),
            property_ids=list(property_ids),
            media=list(media),
        ),
        secret or f"whsec_{b64encode(token_bytes(32)).decode()}",
    )


async def add_mail(
    engine: AsyncEngine, tenant_id: UUID, address: str = "caretaker@example.com", *, language: str = "en"
) -> UUID:
    """One that is enabled and hears of everything; its id."""
    return await _add(
        engine, Subscription(tenant_id=tenant_id, name="mail", mail_address=address, language=language), None
    )


async def _add(engine: AsyncEngine, subscription: Subscription, secret: str | None) -> UUID:
    async with create_sessions(engine).begin() as session:
        session.add(subscription)
        await session.flush()
        if secret is not None:
            session.add(SubscriptionSecret(subscription_id=subscription.id, secret=secret))
        return subscription.id
