"""Writes down what became of a batch: of each of its deliveries, and of the subscription.

A failure also puts off everything else of the subscription, so that an endpoint that is away is asked now and then, and
not by everything that waits for it. When it is back, all that waits is tried at once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, SmallInteger, Text, Uuid

from services.alerts.rules.retries import Delivered, Failed, Outcome, Refused, next_attempt, to_be_disabled
from services.alerts.subscribers.batches import Sending
from services.alerts.subscribers.claims import Claim
from services.alerts.subscribers.disabling import disable
from shared.models import DisabledBecause, DroppedBecause
from shared.models.alerting import PENDING

OURS_HELD_AT_MOST = timedelta(minutes=5)
"""What is wrong at our own mail server is mended for all at once."""

NONE = timedelta(0)

HELD_AT_MOST = timedelta(hours=1)
"""So often at least an endpoint that stays away is asked, unless it asks for more time; a delivery by itself is tried
ever more rarely."""

REFUSED_HELD_AT_MOST = timedelta(seconds=30)
"""An answer that says that the event is wrong (4xx) tells nothing of the next one."""

OF_THE_ENDPOINT = frozenset({408, 410, 425, 429})
"""Of 4xx those that are about when and by whom, and not about what was sent (RFC 9110, RFC 6585, RFC 8470)."""

OUTAGE = 3
"""After so many failures in a row a success means that the endpoint is back, and not that it refuses some events."""

DELIVERED = text(
    """
    UPDATE delivery SET delivered_at = :now, last_attempt_at = :now, last_status = sent.status, last_error = NULL
    FROM unnest(:heads, :statuses) AS sent (head, status)
    WHERE digest_id = sent.head AND delivered_at IS NULL AND dropped_at IS NULL
    """
).bindparams(bindparam("heads", type_=ARRAY(Uuid())), bindparam("statuses", type_=ARRAY(SmallInteger())))

FAILED = text(
    """
    UPDATE delivery SET attempts = attempts + 1, last_attempt_at = :now, last_status = failed.status,
                        last_error = failed.reason, next_attempt_at = coalesce(failed.again, next_attempt_at),
                        dropped_at = CASE WHEN failed.again IS NULL THEN cast(:now AS timestamptz) END,
                        dropped_because = CASE WHEN failed.again IS NULL THEN :gave_up END
    FROM unnest(:heads, :statuses, :reasons, :again) AS failed (head, status, reason, again)
    WHERE digest_id = failed.head AND delivered_at IS NULL AND dropped_at IS NULL
    """
).bindparams(
    bindparam("heads", type_=ARRAY(Uuid())),
    bindparam("statuses", type_=ARRAY(SmallInteger())),
    bindparam("reasons", type_=ARRAY(Text())),
    bindparam("again", type_=ARRAY(DateTime(timezone=True))),
    bindparam("gave_up", value=DroppedBecause.GAVE_UP.value, type_=Text()),
)

# Later events of an alert had waited for these.
LET_FOLLOW = text(
    f"""
    UPDATE delivery SET next_attempt_at = :now
    WHERE subscription_id = :id AND {PENDING} AND digest_id IS NULL AND held_by IS NULL AND next_attempt_at > :now
      AND alert_id IN (SELECT alert_id FROM delivery WHERE digest_id = ANY (:heads))
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("heads", type_=ARRAY(Uuid())))

TRY_ALL = text(
    f"""
    UPDATE delivery SET next_attempt_at = :now
    WHERE subscription_id = :id AND {PENDING} AND digest_id = id AND next_attempt_at > :now
    """  # noqa: S608 - the code's own text
)

WELL = text(
    "UPDATE subscription SET failures = 0, failing_since = NULL, held_until = NULL WHERE id = :id AND failures > 0"
)

# What is a trouble of ours is nothing that the subscription is disabled for.
FAILS = text(
    """
    UPDATE subscription SET failures = :failures, held_until = :held_until,
        failing_since = CASE WHEN :ours THEN failing_since ELSE coalesce(failing_since, :now) END
    WHERE id = :id RETURNING failing_since
    """
)


@dataclass(frozen=True)
class Sent:
    """What a sending ended with. `ours`: a failure that is none of the endpoint's, such as of a mail server of ours."""

    sending: Sending
    outcome: Outcome
    ours: bool = False


@dataclass(frozen=True)
class _Failure:
    sending: Sending
    outcome: Failed | Refused
    again: datetime | None
    """When it is tried again; None where it is given up."""


async def write_down(
    connection: AsyncConnection, claim: Claim, sent: Sequence[Sent], now: datetime, *, is_same: bool = True
) -> None:
    """Keep what became of a batch, given in the order in which it ended.

    Of the subscription nothing where it is not the same any more: it has failed at nothing where it goes to now.
    """
    delivered = [(one.sending, one.outcome) for one in sent if isinstance(one.outcome, Delivered)]
    failed = [
        _Failure(one.sending, one.outcome, _tried_again(one, one.outcome, now))
        for one in sent
        if not isinstance(one.outcome, Delivered)
    ]
    if delivered:
        await connection.execute(
            DELIVERED,
            {
                "heads": [sending.id for sending, _ in delivered],
                "statuses": [outcome.status for _, outcome in delivered],
                "now": now,
            },
        )
    if failed:
        await _write_failures(connection, failed, now)
    # Nobody has waited for what went out at the first attempt.
    ended = [one.id for one, _ in delivered if one.attempts] + [one.sending.id for one in failed if one.again is None]
    if ended:
        await connection.execute(LET_FOLLOW, {"id": claim.id, "heads": ended, "now": now})
    if delivered and claim.failures >= OUTAGE:
        await connection.execute(TRY_ALL, {"id": claim.id, "now": now})
    if is_same:
        await _write_standing(connection, claim, sent, now)


async def _write_failures(connection: AsyncConnection, failed: Sequence[_Failure], now: datetime) -> None:
    await connection.execute(
        FAILED,
        {
            "heads": [one.sending.id for one in failed],
            "statuses": [one.outcome.status for one in failed],
            "reasons": [one.outcome.reason for one in failed],
            "again": [one.again for one in failed],
            "now": now,
        },
    )


async def _write_standing(connection: AsyncConnection, claim: Claim, sent: Sequence[Sent], now: datetime) -> None:
    """How the subscription stands after the batch; several that failed at once are one failure of it."""
    # Who wants nothing more has said so, whatever else was taken at the same moment.
    last = next((one for one in sent if isinstance(one.outcome, Refused)), sent[-1])
    if isinstance(last.outcome, Delivered):
        await connection.execute(WELL, {"id": claim.id})
        return
    before = 0 if any(isinstance(one.outcome, Delivered) for one in sent) else claim.failures
    if before != claim.failures:
        await connection.execute(WELL, {"id": claim.id})
    held_until = now + _held_for(last, sent, before)
    failing_since = await connection.scalar(
        FAILS, {"id": claim.id, "failures": before + 1, "held_until": held_until, "ours": last.ours, "now": now}
    )
    if not last.ours and to_be_disabled(failing_since, now, last.outcome):
        because = DisabledBecause.GONE if isinstance(last.outcome, Refused) else DisabledBecause.FAILING
        reason = last.outcome.reason
        await disable(connection, claim, because=because, reason=reason, failing_since=failing_since, now=now)


def _held_for(last: Sent, sent: Sequence[Sent], failures: int) -> timedelta:
    """How long nothing is sent after a batch that ended with `last`, and as many `failures` before it."""
    now = datetime.now(UTC)
    asked = max((one.outcome.retry_after or NONE for one in sent if isinstance(one.outcome, Failed)), default=NONE)
    delay = next_attempt(failures + 1, now, asked, random.random(), made_at=now)  # noqa: S311 - it only spreads them
    status = None if isinstance(last.outcome, Delivered) else last.outcome.status
    if last.ours:
        at_most = OURS_HELD_AT_MOST
    elif status is not None and status // 100 == 4 and status not in OF_THE_ENDPOINT:  # noqa: PLR2004
        at_most = REFUSED_HELD_AT_MOST
    else:
        at_most = HELD_AT_MOST
    return max(min(HELD_AT_MOST if delay is None else delay - now, at_most), asked)


def _tried_again(sent: Sent, outcome: Failed | Refused, now: datetime) -> datetime | None:
    """When it is its turn again; None where it is given up."""
    again = _again(sent.sending.attempts, outcome, now, sent.sending.wanted_since)
    return min(again, now + OURS_HELD_AT_MOST) if again is not None and sent.ours else again


def _again(attempts: int, outcome: Failed | Refused, now: datetime, since: datetime) -> datetime | None:
    asked = outcome.retry_after if isinstance(outcome, Failed) else None
    return next_attempt(attempts + 1, now, asked, random.random(), made_at=since)  # noqa: S311 - it spreads, and hides nothing
