"""Which subscription is whose turn: one at a time is sent to by one process, for as long as its claim lasts.

So what goes to one endpoint keeps its order, and a slow one keeps only itself waiting. What time it is the database
says, so that replicas whose clocks differ agree.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Interval

from shared.models.alerting import HEADS, PENDING

CLAIM = timedelta(seconds=60)
"""Longer than a batch takes, before each of which the claim is renewed."""

DUE = f"subscription_id IS NOT NULL AND {PENDING} AND {HEADS}"
"""As the index of what is due has it."""

# From one subscription with something waiting to the next, along the index: those with nothing are not looked at.
TAKE = text(
    f"""
    WITH RECURSIVE pending AS (
        (SELECT subscription_id FROM delivery WHERE {DUE} ORDER BY subscription_id LIMIT 1)
        UNION ALL
        SELECT (SELECT subscription_id FROM delivery WHERE {DUE} AND subscription_id > pending.subscription_id
                ORDER BY subscription_id LIMIT 1)
        FROM pending WHERE pending.subscription_id IS NOT NULL
    ), due AS MATERIALIZED (
        SELECT s.id FROM pending JOIN subscription s ON s.id = pending.subscription_id
        CROSS JOIN LATERAL (
            SELECT next_attempt_at FROM delivery
            WHERE {DUE} AND subscription_id = s.id AND next_attempt_at <= statement_timestamp()
              AND (digest_id IS NOT NULL OR next_attempt_at <= statement_timestamp() - :wait)
            ORDER BY next_attempt_at LIMIT 1) oldest
        WHERE s.enabled AND s.deleted_at IS NULL AND (s.failures > 0) = :failing AND (s.url IS NULL) = :by_mail
          AND (s.claimed_until IS NULL OR s.claimed_until <= statement_timestamp())
          AND (s.held_until IS NULL OR s.held_until <= statement_timestamp())
        ORDER BY oldest.next_attempt_at
        LIMIT :at_most
        FOR NO KEY UPDATE OF s SKIP LOCKED
    )
    UPDATE subscription s SET claimed_until = statement_timestamp() + :claim
    FROM due, tenant t WHERE s.id = due.id AND t.id = s.tenant_id
    RETURNING s.id, s.tenant_id, t.name AS tenant_name, t.time_zone, s.name, s.url, s.mail_address, s.language,
              s.failures, s.claimed_until, statement_timestamp() AS now
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("claim", value=CLAIM, type_=Interval()), bindparam("wait", type_=Interval()))

HOLD = text(
    """
    SELECT url, mail_address, claimed_until = :claimed_until AND enabled AND deleted_at IS NULL AS is_ours
    FROM subscription WHERE id = :id FOR NO KEY UPDATE
    """
)

RENEW = text(
    """
    UPDATE subscription SET claimed_until = statement_timestamp() + :claim
    WHERE id = :id AND claimed_until = :claimed_until AND enabled AND deleted_at IS NULL
    RETURNING failures, claimed_until, statement_timestamp()
    """
).bindparams(bindparam("claim", value=CLAIM, type_=Interval()))

RELEASE = text("UPDATE subscription SET claimed_until = NULL WHERE id = :id AND claimed_until = :claimed_until")

PAUSE = text(
    """
    UPDATE subscription SET claimed_until = statement_timestamp() + :pause
    WHERE id = :id AND claimed_until = :claimed_until
    """
).bindparams(bindparam("pause", value=timedelta(seconds=1), type_=Interval()))


@dataclass(frozen=True)
class Claim:
    """A subscription that is this process's to send to until `claimed_until`; either `url` or `mail_address` is set."""

    id: UUID
    tenant_id: UUID
    tenant_name: str
    time_zone: str
    name: str
    url: str | None
    mail_address: str | None
    language: str | None
    failures: int
    claimed_until: datetime
    now: datetime
    """When it was taken or renewed, by the database's clock."""


async def take(engine: AsyncEngine, *, by_mail: bool, failing: bool, at_most: int, wait: timedelta) -> list[Claim]:
    """Claim subscriptions that something is to be sent to by now: by mail or by webhook, those that fail or the others.

    What was never sent is due when it has waited for `wait`.
    """
    async with engine.begin() as connection:
        found = await connection.execute(
            TAKE, {"at_most": at_most, "failing": failing, "by_mail": by_mail, "wait": wait}
        )
        return [Claim(**row) for row in found.mappings()]


async def hold(connection: AsyncConnection, claim: Claim) -> Claim | None:
    """Let nobody change the subscription until the transaction ends, of which this is the beginning.

    Returns the claim with where it goes to now; None where it is another's, or nothing is to be sent any more.

    Whoever disables or removes one locks it first, and then what waits for it: in another order than theirs each would
    wait for the other.
    """
    row = (await connection.execute(HOLD, {"id": claim.id, "claimed_until": claim.claimed_until})).one()
    return replace(claim, url=row.url, mail_address=row.mail_address) if row.is_ours else None


async def renew(connection: AsyncConnection, claim: Claim) -> Claim | None:
    """The claim from now on; None where it is another's, or nothing is to be sent any more."""
    row = (await connection.execute(RENEW, {"id": claim.id, "claimed_until": claim.claimed_until})).one_or_none()
    if row is None:
        return None
    failures, claimed_until, now = row
    return replace(claim, failures=failures, claimed_until=claimed_until, now=now)


async def release(connection: AsyncConnection, claim: Claim) -> None:
    """Let others have it."""
    await connection.execute(RELEASE, {"id": claim.id, "claimed_until": claim.claimed_until})


async def pause(connection: AsyncConnection, claim: Claim) -> None:
    """Let nobody look at it for a second, since there was nothing to be sent after all."""
    await connection.execute(PAUSE, {"id": claim.id, "claimed_until": claim.claimed_until})
