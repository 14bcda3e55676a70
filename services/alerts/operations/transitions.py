"""What alerts writes: readings heard, installations that fell silent, deliveries made. One transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import bindparam, insert, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import DateTime, Double, SmallInteger, Text, Uuid

from services.alerts.events import installation_event
from services.alerts.queries.subjects import Subject, find, lock_due
from services.alerts.rules.staleness import Consequence, Gateways, Verdict, on_a_reading, on_the_clock
from shared.messages.alert_events import AlertEventType, InstallationAlertEvent
from shared.messages.readings_stored import InstallationHeard, ReadingsStored
from shared.models import (
    Alert,
    AlertType,
    ClosedBecause,
    Delivery,
    InstallationState,
    InstallationStatus,
    OpenedBecause,
)

SWEEP_AT_MOST = 500
"""Installations judged in one transaction; a sweep repeats until fewer are due."""

# In the order of the key, for replicas at once. By itself: joined to the update, it is compared pair by pair.
LOCK = text(
    "SELECT count(*) FROM (SELECT FROM installation_status WHERE installation_id = ANY (:ids)"
    " ORDER BY installation_id FOR UPDATE) AS locked"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))

# Late and repeated news change nothing; a correction of the newest reading does. `due_at` stays: it is looked at again
# when it comes, which saves an index entry a reading.
FOLD = text(
    """
    WITH folded AS (
        UPDATE installation_status AS status
        SET last_reading_at = heard."timestamp", last_value = heard.value, last_rssi_dbm = heard.rssi_dbm,
            last_battery_level_pct = heard.battery_level_pct, last_gateway_id = heard.gateway_id,
            last_received_at = heard.received_at
        FROM unnest(:ids, :gateway_ids, :timestamps, :values, :rssi, :battery, :received)
            AS heard (installation_id, gateway_id, "timestamp", value, rssi_dbm, battery_level_pct, received_at)
        WHERE status.installation_id = heard.installation_id
          AND (status.last_reading_at IS NULL OR status.last_reading_at < heard."timestamp"
               OR status.last_reading_at = heard."timestamp" AND status.last_received_at < heard.received_at)
        RETURNING status.installation_id, status.state
    )
    SELECT installation_id FROM folded WHERE state <> 'fresh'
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("gateway_ids", type_=ARRAY(Text())),
    bindparam("timestamps", type_=ARRAY(DateTime(timezone=True))),
    bindparam("values", type_=ARRAY(Double())),
    bindparam("rssi", type_=ARRAY(SmallInteger())),
    bindparam("battery", type_=ARRAY(SmallInteger())),
    bindparam("received", type_=ARRAY(DateTime(timezone=True))),
)


@dataclass(frozen=True)
class Transition:
    """An installation that was looked at, with what it is from now on; `since` counts when its state changes."""

    subject: Subject
    verdict: Verdict
    since: datetime

    @property
    def changes_state(self) -> bool:
        """Whether it is in another state than before."""
        return self.verdict.state is not self.subject.silence.state


async def fold(engine: AsyncEngine, events: Sequence[ReadingsStored], now: datetime) -> int:
    """Take note of what was heard; returns how many installations recovered. Safe to repeat, in any order."""
    heard = _newest(events)
    if not heard:
        return 0
    async with engine.begin() as connection:
        await connection.execute(LOCK, {"ids": [one.installation_id for one in heard]})
        not_fresh = (await connection.execute(FOLD, _columns(heard))).scalars().all()
        if not not_fresh:
            return 0
        subjects = await find(connection, not_fresh)
        transitions = [
            Transition(subject, on_a_reading(subject.silence, now), since=subject.silence.silent_since)
            for subject in subjects
        ]
        await _set_status(connection, transitions)
        recovered = [
            one.subject
            for one in transitions
            if one.changes_state and one.subject.silence.state is InstallationState.STALE
        ]
        await _close_alerts(connection, recovered, now)
    return len(recovered)


async def sweep(engine: AsyncEngine, now: datetime) -> int:
    """Judge every installation that is due by `now`; returns how many turned stale.

    The cost grows with what is due, not with what exists: the due ones are found by an index.
    """
    stale = 0
    while True:
        async with engine.begin() as connection:
            subjects = await lock_due(connection, now, at_most=SWEEP_AT_MOST)
            transitions = [
                Transition(subject, on_the_clock(subject.silence, now, Gateways.HEARD), since=subject.silence.due_at)
                for subject in subjects
            ]
            await _set_status(connection, transitions)
            silent = [
                one.subject for one in transitions if one.verdict.alert in {Consequence.OPEN, Consequence.OPEN_QUIETLY}
            ]
            await _open_alerts(connection, silent, now)
            await _close_quietly(connection, transitions, now)
        stale += len(silent)
        if len(subjects) < SWEEP_AT_MOST:
            return stale


def _newest(events: Sequence[ReadingsStored]) -> list[InstallationHeard]:
    newest: dict[UUID, InstallationHeard] = {}
    for event in events:
        for heard in event.installations:
            known = newest.get(heard.installation_id)
            if known is None or _age(heard) > _age(known):
                newest[heard.installation_id] = heard
    return list(newest.values())


def _age(heard: InstallationHeard) -> tuple[datetime, datetime]:
    """What orders the news of an installation: when it was read, and of two such when it was received."""
    return heard.timestamp, heard.received_at or datetime.min.replace(tzinfo=UTC)


def _columns(heard: Sequence[InstallationHeard]) -> dict[str, list[object]]:
    return {
        "ids": [one.installation_id for one in heard],
        "gateway_ids": [one.gateway_id for one in heard],
        "timestamps": [one.timestamp for one in heard],
        "values": [one.value for one in heard],
        "rssi": [one.rssi_dbm for one in heard],
        "battery": [one.battery_level_pct for one in heard],
        "received": [one.received_at for one in heard],
    }


async def _set_status(connection: AsyncConnection, transitions: Sequence[Transition]) -> None:
    if transitions:
        await connection.execute(
            update(InstallationStatus)
            .where(InstallationStatus.installation_id == bindparam("id_"))
            .values(state=bindparam("state_"), state_since=bindparam("since_"), due_at=bindparam("due_at_")),
            [
                {
                    "id_": one.subject.installation_id,
                    "state_": one.verdict.state.value,
                    "since_": one.since if one.changes_state else one.subject.state_since,
                    "due_at_": one.verdict.due_at,
                }
                for one in transitions
            ],
        )


async def _open_alerts(connection: AsyncConnection, silent: Sequence[Subject], now: datetime) -> None:
    if not silent:
        return
    ids = [uuid4() for _ in silent]
    await connection.execute(
        insert(Alert),
        [
            {
                "id": alert_id,
                "tenant_id": subject.tenant_id,
                "type": AlertType.INSTALLATION_STALE.value,
                "installation_id": subject.installation_id,
                "since": subject.silence.silent_since,
                "opened_at": now,
                "opened_because": OpenedBecause.SILENCE.value,
                "last_reading_at": subject.silence.last_reading_at,
            }
            for alert_id, subject in zip(ids, silent, strict=True)
        ],
    )
    await _enqueue(
        connection,
        [
            installation_event(
                AlertEventType.INSTALLATION_STALE,
                subject,
                alert_id=alert_id,
                silent_since=subject.silence.silent_since,
                now=now,
            )
            for alert_id, subject in zip(ids, silent, strict=True)
        ],
    )


async def _close_quietly(connection: AsyncConnection, transitions: Sequence[Transition], now: datetime) -> None:
    for consequence, because in (
        (Consequence.CLOSE_QUIETLY, ClosedBecause.RULES_CHANGED),
        (Consequence.REMOVE, ClosedBecause.REMOVED),
    ):
        ids = [one.subject.installation_id for one in transitions if one.verdict.alert is consequence]
        if ids:
            await connection.execute(
                update(Alert)
                .where(Alert.installation_id.in_(ids), Alert.closed_at.is_(None))
                .values(closed_at=now, closed_because=because.value)
            )


async def _close_alerts(connection: AsyncConnection, recovered: Sequence[Subject], now: datetime) -> None:
    if not recovered:
        return
    by_id = {subject.installation_id: subject for subject in recovered}
    closed = await connection.execute(
        update(Alert)
        .where(Alert.installation_id.in_(by_id), Alert.closed_at.is_(None))
        .values(closed_at=now, closed_because=ClosedBecause.HEARD.value)
        .returning(Alert.id, Alert.installation_id, Alert.since)
    )
    await _enqueue(
        connection,
        [
            installation_event(
                AlertEventType.INSTALLATION_RECOVERED,
                by_id[row.installation_id],
                alert_id=row.id,
                silent_since=row.since,
                now=now,
            )
            for row in closed
        ],
    )


async def _enqueue(connection: AsyncConnection, events: Sequence[InstallationAlertEvent]) -> None:
    """Make the deliveries of `events`, in the transaction of their transitions."""
    await connection.execute(
        insert(Delivery),
        [
            {
                "id": UUID(event.id),
                "alert_id": event.data.alert_id,
                "tenant_id": event.data.tenant_id,
                "event_type": event.type,
                "event": msgspec.to_builtins(event),
                "created_at": event.time,
                "next_attempt_at": event.time,
            }
            for event in events
        ],
    )
