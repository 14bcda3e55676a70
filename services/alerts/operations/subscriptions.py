"""Changes of subscriptions, and what becomes of what waits for them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from services.alerts.operations.telling import AT_ONCE
from services.alerts.queries.subscription_fields import NewSubscription, Subscription, SubscriptionBody, is_narrow
from services.alerts.queries.subscriptions import COLUMNS, WITHIN_REACH, find_subscription, subscription_in, within
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase
from shared.messages.alert_events import SOURCE
from shared.messages.subscriber_events import SubscriberEventType, SubscriptionTest, SubscriptionTestEvent
from shared.models import DisabledBecause, DroppedBecause
from shared.models.alerting import PENDING

AT_MOST = 100
"""Subscriptions of a tenant."""

TEST_EACH = timedelta(seconds=10)
"""Of a subscription, and not before the one before has come to an end."""

# Two that are made at the same time count each other.
COUNT = """
SELECT count(*) FROM subscription WHERE tenant_id = $1 AND deleted_at IS NULL"""
ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(hashtextextended('mbus subscriptions of ' || $1::text, 0))"

INSERT = f"""
INSERT INTO subscription AS s (
    tenant_id, name, url, mail_address, language, event_types, property_ids, media, enabled, disabled_at,
    disabled_because, created_at, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN NOT $9 THEN $10::timestamptz END,
        CASE WHEN NOT $9 THEN '{DisabledBecause.BY_HAND.value}' END, $10, $10, $11)
RETURNING {COLUMNS}"""  # noqa: S608 - the code's own text

# One that is enabled again, or goes elsewhere, has failed at nothing yet.
UPDATE = f"""
UPDATE subscription s SET
    name = $2, url = $3, mail_address = $4, language = $5, event_types = $6, property_ids = $7, media = $8,
    enabled = $9, disabled_at = CASE WHEN NOT $9 THEN coalesce(s.disabled_at, $10) END,
    disabled_because = CASE WHEN NOT $9 THEN coalesce(s.disabled_because, '{DisabledBecause.BY_HAND.value}') END,
    failures = CASE WHEN {{same}} THEN s.failures ELSE 0 END,
    failing_since = CASE WHEN {{same}} THEN s.failing_since END,
    held_until = CASE WHEN {{same}} THEN s.held_until END,
    updated_at = $10, updated_by = $11
WHERE s.tenant_id = $1 AND s.id = $12
RETURNING {COLUMNS}""".format(same="s.enabled = $9 AND (s.url, s.mail_address) IS NOT DISTINCT FROM ($3, $4)")  # noqa: S608

REMOVE = f"""
UPDATE subscription s SET deleted_at = $4, updated_at = $4, updated_by = $5
WHERE {WITHIN_REACH} AND s.id = $3"""  # noqa: S608 - the code's own text

DROP = f"UPDATE delivery SET dropped_at = $2, dropped_because = $3 WHERE subscription_id = $1 AND {PENDING}"  # noqa: S608

SIGN_WITH = "INSERT INTO subscription_secret (subscription_id, secret, created_at) VALUES ($1, $2, $3)"
# Two are good at a time: the one before the last goes.
END_OLDER = "DELETE FROM subscription_secret WHERE subscription_id = $1 AND expires_at IS NOT NULL"
END_NEWEST = "UPDATE subscription_secret SET expires_at = $2 WHERE subscription_id = $1 AND expires_at IS NULL"
LOCK = f"SELECT FROM subscription s WHERE {WITHIN_REACH} AND s.id = $3 FOR NO KEY UPDATE"

TEST = """
INSERT INTO delivery (id, tenant_id, subscription_id, event_type, event, created_at, wanted_since, next_attempt_at)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $6, $7)"""

# Who asks for a test has mended something, and need not wait for when it is asked again.
TRY_NOW = "UPDATE subscription SET held_until = NULL WHERE tenant_id = $1 AND id = $2"

# Anybody who may write could have a mailbox flooded by it that is none of theirs.
TESTED = f"""
SELECT EXISTS (
    SELECT FROM delivery WHERE subscription_id = $1 AND event_type = $2
      AND ({PENDING} OR created_at > $3))"""  # noqa: S608 - the code's own text

KNOWN = """
SELECT count(*) FROM property WHERE tenant_id = $1 AND ($2::uuid[] IS NULL OR id = ANY ($2)) AND id = ANY ($3)
  AND deleted_at IS NULL"""


class BeyondReachError(Exception):
    """The subscription hears of more than the properties to which the caller is narrowed."""


class NoPropertyError(Exception):
    """One of its properties is not there."""


class TooManyError(Exception):
    """The tenant has as many as it may."""


class OtherWayError(Exception):
    """A webhook cannot become a mail, nor a mail a webhook."""


class DisabledError(Exception):
    """Nothing is sent to it."""


class TestedError(Exception):
    """A test of it is on its way, or was just now."""


class NoSecretError(Exception):
    """Mails are not signed."""


async def create_subscription(
    database: TenantDatabase, *, reach: Reach, wanted: SubscriptionBody, secret: str | None, who: str, now: datetime
) -> NewSubscription:
    """The new subscription, with its `secret`; raises `BeyondReachError`, `NoPropertyError` and `TooManyError`."""
    async with database.writing_within(reach) as connection:
        await _check(connection, reach, wanted)
        await connection.execute(ONE_AFTER_THE_OTHER, str(reach.tenant_id))
        if await connection.fetchval(COUNT, reach.tenant_id) >= AT_MOST:
            raise TooManyError
        row = await connection.fetchrow(INSERT, reach.tenant_id, *_values(wanted, who, now))
        assert row is not None  # noqa: S101 - an INSERT without a condition returns its row
        made = subscription_in(row)
        if secret is not None:
            await connection.execute(SIGN_WITH, made.id, secret, now)
    return NewSubscription(**asdict(made), secret=secret)


async def replace_subscription(
    database: TenantDatabase,
    *,
    reach: Reach,
    subscription_id: UUID,
    wanted: SubscriptionBody,
    who: str,
    now: datetime,
) -> Subscription | None:
    """The subscription as it is now; None where there is none. What waits for one that is disabled is dropped.

    Raises `BeyondReachError`, `NoPropertyError` and `OtherWayError`.
    """
    async with database.writing_within(reach) as connection:
        await connection.execute(LOCK, *within(reach), subscription_id)
        before = await find_subscription(connection, reach=reach, subscription_id=subscription_id)
        if before is None:
            return None
        if (before.url is None) != (wanted.url is None):
            raise OtherWayError
        # What it names already need not be there any more: so it can still be disabled.
        await _check(connection, reach, wanted, named=before.property_ids)
        if before.enabled != wanted.enabled:
            await connection.execute(DROP, subscription_id, now, DroppedBecause.DISABLED)
        row = await connection.fetchrow(UPDATE, reach.tenant_id, *_values(wanted, who, now), subscription_id)
    return None if row is None else subscription_in(row)


async def remove_subscription(
    database: TenantDatabase, *, reach: Reach, subscription_id: UUID, who: str, now: datetime
) -> bool:
    """Whether there was one. What waits for it is dropped; what was delivered stays in the log."""
    async with database.writing_within(reach) as connection:
        await connection.execute(LOCK, *within(reach), subscription_id)
        found = await connection.execute(REMOVE, *within(reach), subscription_id, now, who) != "UPDATE 0"
        if found:
            await connection.execute(DROP, subscription_id, now, DroppedBecause.DISABLED)
    return found


async def rotate_secret(
    database: TenantDatabase, *, reach: Reach, subscription_id: UUID, secret: str, keep_until: datetime, now: datetime
) -> bool:
    """Let `secret` be what it signs with, and the one before it, too, until then. Whether there is one.

    Raises `NoSecretError`.
    """
    async with database.writing_within(reach) as connection:
        await connection.execute(LOCK, *within(reach), subscription_id)
        found = await find_subscription(connection, reach=reach, subscription_id=subscription_id)
        if found is None:
            return False
        if found.url is None:
            raise NoSecretError
        await connection.execute(END_OLDER, subscription_id)
        await connection.execute(END_NEWEST, subscription_id, keep_until)
        await connection.execute(SIGN_WITH, subscription_id, secret, now)
    return True


async def send_test(database: TenantDatabase, *, reach: Reach, subscription_id: UUID, now: datetime) -> UUID | None:
    """The id of a test that is sent at once; None where there is no such subscription.

    Raises `DisabledError` and `TestedError`.
    """
    delivery_id = uuid4()
    kind = SubscriberEventType.TEST.value
    async with database.writing_within(reach) as connection:
        await connection.execute(LOCK, *within(reach), subscription_id)
        found = await find_subscription(connection, reach=reach, subscription_id=subscription_id)
        if found is None:
            return None
        if not found.enabled:
            raise DisabledError
        if await connection.fetchval(TESTED, subscription_id, kind, now - TEST_EACH):
            raise TestedError
        await connection.execute(TRY_NOW, reach.tenant_id, subscription_id)
        told = SubscriptionTest(
            tenant_id=reach.tenant_id, subscription_id=subscription_id, subscription_name=found.name
        )
        event = SubscriptionTestEvent(id=str(delivery_id), source=SOURCE, type=kind, time=now, data=told)
        body = msgspec.json.encode(event).decode()
        await connection.execute(TEST, delivery_id, reach.tenant_id, subscription_id, kind, body, now, AT_ONCE)
    return delivery_id


async def _check(connection: Connection, reach: Reach, wanted: SubscriptionBody, *, named: Sequence[UUID] = ()) -> None:
    if not is_narrow(wanted.property_ids, reach.property_ids):
        raise BeyondReachError
    new = set(wanted.property_ids).difference(named)
    if await connection.fetchval(KNOWN, *within(reach), sorted(new)) != len(new):
        raise NoPropertyError


def _values(wanted: SubscriptionBody, who: str, now: datetime) -> tuple[object, ...]:
    return (
        wanted.name,
        wanted.url,
        wanted.mail_address,
        wanted.language,
        wanted.event_types,
        wanted.property_ids,
        wanted.media,
        wanted.enabled,
        now,
        who,
    )
