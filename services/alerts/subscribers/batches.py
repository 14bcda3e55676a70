"""What is sent to a subscription next: plans what waits, settles what goes together, and reads what is due.

What goes together is settled before it is sent for the first time, so that each attempt has the same id and content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from services.alerts.queries.windows import read_windows
from services.alerts.rules.digests import Plan, Waiting, plan
from services.alerts.rules.maintenance import Subject, open_now
from services.alerts.subscribers.claims import Claim
from shared.messages.subscriber_events import RECOVERIES, REMINDERS, SILENCES
from shared.models.alerting import PENDING

PLANNED_AT_MOST = 2000
"""Events looked at in one plan."""

TOLD_AT_MOST = 200
"""Events in one digest for a program: some 200 KiB of JSON. A mail says of most of them only how many there are."""

SENT_AT_MOST = 200
"""Digests, or events alone, in one batch."""

PROBED_AT_MOST = 10
"""The same while it fails, when most likely but the first is sent."""

NEWS, REMINDED = ("mail", "news"), ("mail", "reminders")
"""What a mail tells at once: everything that has happened, or everything that is still so."""

# What has been here for longest, and the silences that wait for the end of a window and are over by what is among that.
# IS NOT DISTINCT FROM keeps the planner from indexes of the subscription, which may have a hundred thousand rows where
# an alert has a few: five times as fast, at that.
WAITING = text(
    """
    WITH due AS MATERIALIZED (
        SELECT id, alert_id, event_type FROM delivery
        WHERE subscription_id = :id AND digest_id IS NULL AND delivered_at IS NULL AND dropped_at IS NULL
          AND next_attempt_at <= :now
        ORDER BY next_attempt_at LIMIT :at_most
    ), held AS MATERIALIZED (
        SELECT silence.id FROM due CROSS JOIN LATERAL (
            SELECT id FROM delivery
            WHERE alert_id = due.alert_id AND subscription_id IS NOT DISTINCT FROM :id AND held_by IS NOT NULL
              AND digest_id IS NULL AND delivered_at IS NULL AND dropped_at IS NULL) silence
        WHERE due.event_type = ANY (:recoveries)
    )
    SELECT d.id, d.position, d.event_type, d.next_attempt_at AS since, d.alert_id, d.held_by IS NOT NULL AS was_held,
           d.event #>> '{data,installation_id}' AS installation_id, d.event #>> '{data,property_id}' AS property_id,
           CASE WHEN d.event_type LIKE 'gateway.%' THEN (
               SELECT CASE WHEN count(DISTINCT u.property_id) = 1 THEN min(u.property_id::text) END
               FROM meter_installation i JOIN unit u ON u.id = i.unit_id
               WHERE i.gateway_id = d.event #>> '{data,gateway_id}' AND i.deleted_at IS NULL) END AS only_property_id,
           d.event #>> '{data,gateway_id}' AS gateway_id,
           a.id IS NOT NULL AND a.closed_at IS NULL AS alert_is_open,
           a.acknowledged_at IS NOT NULL OR coalesce(a.snoozed_until > statement_timestamp(), false)
               AS alert_is_marked,
           (SELECT max(e.next_attempt_at) FROM delivery e
            WHERE e.alert_id = d.alert_id AND e.subscription_id IS NOT DISTINCT FROM d.subscription_id
              AND e.position < d.position AND e.digest_id IS NOT NULL AND e.delivered_at IS NULL
              AND e.dropped_at IS NULL) AS earlier_until
    FROM delivery d LEFT JOIN alert a ON a.id = d.alert_id
    WHERE d.id = ANY (ARRAY(SELECT id FROM due UNION SELECT id FROM held))
    ORDER BY d.position
    """
).bindparams(bindparam("recoveries", value=sorted(RECOVERIES), type_=ARRAY(Text())))

# Only what is still as it was planned: somebody may have asked for it to be sent again in the meantime. The days after
# which it is given up begin now, however long a window has held it.
SETTLE = text(
    """
    UPDATE delivery d SET digest_id = head.id, next_attempt_at = :now, wanted_since = :now
    FROM unnest(:ids, :heads) AS head (member, id) WHERE d.id = head.member AND d.digest_id IS NULL
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("heads", type_=ARRAY(Uuid())))

POSTPONE = text(
    """
    UPDATE delivery d SET next_attempt_at = later.until, held_by = later.held_by
    FROM unnest(:ids, :until, :held_by) AS later (id, until, held_by) WHERE d.id = later.id AND d.digest_id IS NULL
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("until", type_=ARRAY(DateTime(timezone=True))),
    bindparam("held_by", type_=ARRAY(Uuid())),
)

DROP = text(
    """
    UPDATE delivery d SET dropped_at = :now, dropped_because = dropped.because
    FROM unnest(:ids, :because) AS dropped (id, because) WHERE d.id = dropped.id AND d.digest_id IS NULL
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("because", type_=ARRAY(Text())))

# By an index of its own: by that of all that is due, what waits for its first attempt would be read too.
HEADS = text(
    f"""
    SELECT id FROM delivery
    WHERE subscription_id IS NOT NULL AND {PENDING} AND digest_id = id
      AND subscription_id = :id AND next_attempt_at <= :now
    ORDER BY next_attempt_at, position LIMIT :at_most
    """  # noqa: S608 - the code's own text
)

PARTS = text(
    """
    SELECT digest_id, id, event_type, created_at, wanted_since, attempts, event::text AS event FROM delivery
    WHERE digest_id = ANY (:heads) ORDER BY digest_id, position
    """
).bindparams(bindparam("heads", type_=ARRAY(Uuid())))


@dataclass(frozen=True)
class Part:
    """One event of what is sent; its JSON as it is stored."""

    delivery_id: UUID
    event_type: str
    made_at: datetime
    event: str


@dataclass(frozen=True)
class Sending:
    """What goes out as one message, under the id of its first delivery. `attempts` are those that have failed."""

    id: UUID
    wanted_since: datetime
    attempts: int
    parts: Sequence[Part]


def at_most(claim: Claim) -> int:
    """Messages in one batch."""
    return PROBED_AT_MOST if claim.failures else SENT_AT_MOST


async def next_batch(connection: AsyncConnection, claim: Claim, *, wait: timedelta) -> list[Sending]:
    """What is to be sent to the subscription now: what is due for another attempt, then what goes out for the first.

    What waits is planned where that leaves room.
    """
    heads = await _heads(connection, claim)
    if len(heads) < at_most(claim) and await _plan(connection, claim, wait=wait):
        heads = await _heads(connection, claim)
    if not heads:
        return []
    parts: dict[UUID, list[Row[Any]]] = {}
    for row in await connection.execute(PARTS, {"heads": heads}):
        parts.setdefault(row.digest_id, []).append(row)
    return [_sending(head, parts[head]) for head in heads]


async def _heads(connection: AsyncConnection, claim: Claim) -> list[UUID]:
    found = await connection.scalars(HEADS, {"id": claim.id, "now": claim.now, "at_most": at_most(claim)})
    return list(found)


async def _plan(connection: AsyncConnection, claim: Claim, *, wait: timedelta) -> bool:
    """Plan what waits, and keep what was planned. Whether anything goes out by it."""
    now = claim.now
    found = await connection.execute(WAITING, {"id": claim.id, "now": now, "at_most": PLANNED_AT_MOST})
    by_mail = claim.mail_address is not None
    waiting = [_waiting(row, by_mail=by_mail) for row in found]
    told_at_most = PLANNED_AT_MOST if by_mail else TOLD_AT_MOST
    silent = any(one.event_type in SILENCES for one in waiting)
    windows = await read_windows(connection, claim.tenant_id, after=now) if silent else []
    held = open_now(windows, now).held_until
    made = plan(waiting, now=now, wait=wait, at_most=told_at_most, held=held)
    await _keep(connection, made, now)
    return bool(made.digests)


async def _keep(connection: AsyncConnection, made: Plan, now: datetime) -> None:
    if made.digests:
        settled = [(one.id, digest[0].id) for digest in made.digests for one in digest]
        ids, heads = zip(*settled, strict=True)
        await connection.execute(SETTLE, {"ids": list(ids), "heads": list(heads), "now": now})
    if made.postponed:
        await connection.execute(
            POSTPONE,
            {
                "ids": [one.id for one, _, _ in made.postponed],
                "until": [until for _, until, _ in made.postponed],
                "held_by": [window_id for _, _, window_id in made.postponed],
            },
        )
    if made.dropped:
        await connection.execute(
            DROP,
            {
                "ids": [one.id for one, _ in made.dropped],
                "because": [because.value for _, because in made.dropped],
                "now": now,
            },
        )


def _waiting(row: Row[Any], *, by_mail: bool) -> Waiting:
    property_id = row.property_id or row.only_property_id
    subject = Subject(
        installation_id=None if row.installation_id is None else UUID(row.installation_id),
        property_id=None if property_id is None else UUID(property_id),
        gateway_id=row.gateway_id,
    )
    return Waiting(
        id=row.id,
        position=row.position,
        event_type=row.event_type,
        since=row.since,
        group=_group(row, by_mail=by_mail),
        subject=subject,
        alert_id=row.alert_id,
        was_held=row.was_held,
        alert_is_open=row.alert_is_open,
        alert_is_marked=row.alert_is_marked,
        earlier_until=row.earlier_until,
    )


def _group(row: Row[Any], *, by_mail: bool) -> tuple[str, str]:
    if row.alert_id is None:
        return "alone", str(row.id)
    if by_mail:
        return REMINDED if row.event_type in REMINDERS else NEWS
    if row.property_id is not None:
        return "property", row.property_id
    return "gateway", row.gateway_id


def _sending(head: UUID, rows: Sequence[Row[Any]]) -> Sending:
    (first,) = (row for row in rows if row.id == head)
    return Sending(
        id=head,
        wanted_since=first.wanted_since,
        attempts=first.attempts,
        parts=[Part(row.id, row.event_type, row.created_at, row.event) for row in rows],
    )
