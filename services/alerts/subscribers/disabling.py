"""Ends a subscription: what waits for it is dropped. Where nothing arrives at it, the tenant's others are told."""

from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import replace
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import DateTime

from services.alerts.operations.telling import AT_ONCE
from services.alerts.subscribers.claims import Claim
from shared.logs import get_logger
from shared.messages.alert_events import SOURCE
from shared.messages.subscriber_events import SubscriberEventType, SubscriptionDisabled, SubscriptionDisabledEvent
from shared.models import DisabledBecause, DroppedBecause
from shared.models.alerting import PENDING

DISABLE = text(
    """
    UPDATE subscription SET enabled = false, disabled_at = :now, disabled_because = :because, held_until = NULL
    WHERE id = :id AND enabled RETURNING id
    """
)

DROP = text(
    f"""
    UPDATE delivery SET dropped_at = :now, dropped_because = :because WHERE subscription_id = :id AND {PENDING}
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("because", value=DroppedBecause.DISABLED.value))

# Of a transition that had seen the subscription before it was switched off, and was committed after that.
DROP_STRAYS = text(
    f"""
    UPDATE delivery SET dropped_at = statement_timestamp(), dropped_because = :because
    WHERE id = ANY (ARRAY(
        SELECT id FROM delivery
        WHERE {PENDING} AND subscription_id IN (SELECT id FROM subscription WHERE NOT enabled OR deleted_at IS NOT NULL)
        FOR UPDATE SKIP LOCKED))
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("because", value=DroppedBecause.DISABLED.value))

# One that does not hear of all that the disabled one heard of may be of people who are to know nothing of it.
NOTICE = text(
    """
    INSERT INTO delivery (id, tenant_id, subscription_id, event_type, event, created_at, wanted_since, next_attempt_at)
    SELECT gen_random_uuid(), s.tenant_id, s.id, :type,
           CASE WHEN s.property_ids = '{}'
                     OR disabled.property_ids <> '{}' AND disabled.property_ids <@ s.property_ids
                THEN cast(:event AS jsonb) ELSE cast(:bare AS jsonb) END,
           :now, :now, :at_once
    FROM subscription s JOIN subscription disabled ON disabled.id = :id
    WHERE s.tenant_id = :tenant_id AND s.id <> :id AND s.enabled AND s.deleted_at IS NULL
    """
).bindparams(
    bindparam("type", value=SubscriberEventType.DISABLED.value),
    bindparam("at_once", value=AT_ONCE, type_=DateTime(timezone=True)),
)

log = get_logger(__name__)


async def switch_off(
    connection: AsyncConnection, subscription_id: UUID, *, because: DisabledBecause, now: datetime
) -> bool:
    """Send nothing to the subscription from `now` on, nor what waits for it. Whether it was enabled until then."""
    switched = await connection.scalar(DISABLE, {"id": subscription_id, "because": because.value, "now": now})
    if switched is not None:
        await connection.execute(DROP, {"id": subscription_id, "now": now})
    return switched is not None


async def drop_strays(engine: AsyncEngine) -> int:
    """Drop what waits for subscriptions that nothing is sent to, and return how much that was."""
    async with engine.begin() as connection:
        return (await connection.execute(DROP_STRAYS)).rowcount


async def disable(
    connection: AsyncConnection,
    claim: Claim,
    *,
    because: DisabledBecause,
    reason: str,
    failing_since: datetime | None,
    now: datetime,
) -> None:
    """Send nothing to a subscription that fails, and tell the others; `reason` is what its last attempt ended with.

    Those that do not hear of all its properties are told its id for its name, and neither target nor reason.
    """
    if not await switch_off(connection, claim.id, because=because, now=now):
        return  # somebody has meanwhile
    told = SubscriptionDisabled(
        tenant_id=claim.tenant_id,
        subscription_id=claim.id,
        subscription_name=claim.name,
        kind="mail" if claim.url is None else "webhook",
        target=host_of(claim),
        because=because.value,
        reason=reason,
        failing_since=failing_since,
    )
    bare = replace(told, subscription_name=str(claim.id), target="", reason="")
    event = SubscriptionDisabledEvent(
        id=str(uuid4()), source=SOURCE, type=SubscriberEventType.DISABLED.value, time=now, data=told
    )
    notices = {
        "event": msgspec.json.encode(event).decode(),
        "bare": msgspec.json.encode(replace(event, data=bare)).decode(),
    }
    await connection.execute(NOTICE, {"tenant_id": claim.tenant_id, "id": claim.id, "now": now, **notices})
    log.warning("subscription_disabled", subscription_id=str(claim.id), because=because.value, reason=reason)


def host_of(claim: Claim) -> str:
    """Where it is sent to, without what may be a secret in a path, or somebody's name."""
    if claim.url is not None:
        return urlsplit(claim.url).hostname or ""
    return (claim.mail_address or "").rpartition("@")[2]
