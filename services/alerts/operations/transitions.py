"""Writes what became of installations: status, alert and delivery, in the transaction that judged them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Double, SmallInteger, Text, Uuid

from services.alerts.events import installation_event
from services.alerts.operations.reporting import OPENED, Opening, alert_after, report
from services.alerts.operations.telling import tell_all
from services.alerts.queries.stored import first_after
from services.alerts.queries.subjects import Subject
from services.alerts.rules.staleness import Consequence, Verdict
from shared.messages.alert_events import AlertEventType
from shared.models import InstallationState

MOMENT = DateTime(timezone=True)

SET_STATUS = text(
    """
    UPDATE installation_status AS status
    SET state = judged.state, state_since = judged.since, due_at = judged.due_at, alert_id = judged.alert_id,
        judged_from = coalesce(judged.judged_from, status.judged_from),
        last_reading_at = judged.read_at, last_value = judged.value, last_rssi_dbm = judged.rssi_dbm,
        last_battery_level_pct = judged.battery_level_pct, last_received_at = judged.received_at
    FROM unnest(:ids, :states, :since, :due, :alert_ids, :judged_from, :read, :values, :rssi, :battery, :received)
        AS judged (id, state, since, due_at, alert_id, judged_from, read_at, value, rssi_dbm, battery_level_pct,
                   received_at)
    WHERE status.installation_id = judged.id
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("states", type_=ARRAY(Text())),
    bindparam("since", type_=ARRAY(MOMENT)),
    bindparam("due", type_=ARRAY(MOMENT)),
    bindparam("alert_ids", type_=ARRAY(Uuid())),
    bindparam("judged_from", type_=ARRAY(MOMENT)),
    bindparam("read", type_=ARRAY(MOMENT)),
    bindparam("values", type_=ARRAY(Double())),
    bindparam("rssi", type_=ARRAY(SmallInteger())),
    bindparam("battery", type_=ARRAY(SmallInteger())),
    bindparam("received", type_=ARRAY(MOMENT)),
)


@dataclass(frozen=True)
class Transition:
    """An installation that was looked at, with what it is from now on.

    `subject` is as it was, but for a reading that was found meanwhile; `since` counts when its state changes.
    """

    subject: Subject
    verdict: Verdict
    since: datetime

    @property
    def changes_state(self) -> bool:
        """Whether it is in another state than before."""
        return self.verdict.state is not self.subject.silence.state

    @property
    def state_since(self) -> datetime:
        """Since when it is in the state that it is in from now on."""
        return self.since if self.changes_state else self.subject.silence.state_since

    @property
    def consequence(self) -> Consequence:
        """What becomes of its alert."""
        return self.verdict.alert

    @property
    def alert_before(self) -> UUID | None:
        """The alert that has been open."""
        return self.subject.alert_id

    @cached_property
    def alert_id(self) -> UUID | None:
        """The alert that is open from now on."""
        return alert_after(self.consequence, self.alert_before)

    def opening(self, alert_id: UUID) -> Opening:
        """Its alert, where one is opened."""
        return Opening(
            alert_id=alert_id,
            tenant_id=self.subject.tenant_id,
            because=OPENED[self.consequence],
            since=self.subject.silence.silent_since,
            last_reading_at=self.subject.silence.last_reading_at,
            installation_id=self.subject.installation_id,
        )


async def write(connection: AsyncConnection, transitions: Sequence[Transition], now: datetime) -> None:
    """Write down what became of installations that the caller has locked, and what is to be told of it."""
    if not transitions:
        return
    begun, ended = await report(connection, transitions, now)
    await connection.execute(SET_STATUS, _columns(transitions))
    stale = [
        installation_event(
            AlertEventType.INSTALLATION_STALE,
            news.of.subject,
            alert_id=news.alert_id,
            silent_since=news.silent_since,
            now=now,
        )
        for news in begun
    ]
    recovered = [
        installation_event(
            AlertEventType.INSTALLATION_RECOVERED,
            news.of.subject,
            alert_id=news.alert_id,
            silent_since=news.silent_since,
            ended_at=news.of.state_since,
            now=now,
        )
        for news in ended
    ]
    await tell_all(connection, [*stale, *recovered])


async def fresh_since(connection: AsyncConnection, subjects: Sequence[Subject]) -> dict[UUID, datetime]:
    """The reading that ended the silence of each: its first at all, or its first since it fell stale.

    Events tell of the newest reading only, and a backlog comes in any order; `reading` has them all. Where the newest
    is from before it fell stale, because it came late, it is that one.
    """
    after = {
        one.installation_id: one.silence.state_since if one.silence.state is InstallationState.STALE else None
        for one in subjects
    }
    first = await first_after(connection, after)
    newest = {one.installation_id: one.silence.last_reading_at for one in subjects}
    return {
        installation_id: min(first.get(installation_id, last), last)
        for installation_id, last in newest.items()
        if last is not None
    }


def _columns(transitions: Sequence[Transition]) -> dict[str, list[object]]:
    read = [one.subject.last_reading for one in transitions]
    return {
        "ids": [one.subject.installation_id for one in transitions],
        "states": [one.verdict.state.value for one in transitions],
        "since": [one.state_since for one in transitions],
        "due": [one.verdict.due_at for one in transitions],
        "alert_ids": [one.alert_id for one in transitions],
        "judged_from": [one.verdict.judged_from for one in transitions],
        "read": [last and last.timestamp for last in read],
        "values": [last and last.value for last in read],
        "rssi": [last and last.rssi_dbm for last in read],
        "battery": [last and last.battery_level_pct for last in read],
        "received": [one.subject.last_received_at for one in transitions],
    }
