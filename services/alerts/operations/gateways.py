"""Judges the gateways: which fell silent, and which are back; one transaction a batch, shared by all replicas."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Text, Uuid

from services.alerts.events import gateway_event
from services.alerts.operations.reporting import CLOSED, OPENED, Opening, close_alerts, enqueue, open_alerts
from services.alerts.queries.gateways import (
    GatewaySubject,
    Meters,
    lock_due,
    lock_silent,
    meters_of,
    perhaps_back,
)
from services.alerts.rules.gateways import GatewayVerdict, on_the_clock
from shared.messages.alert_events import AlertEventType, GatewayAlert, GatewayAlertEvent
from shared.models import GatewayState, GatewayStatus, OpenedBecause

AT_MOST = 500
"""Gateways judged in one transaction; a sweep repeats until fewer are due."""

# Those that are to be heard by one of the gateways, or were last. Not those that were reported already.
LOCK_INSTALLATIONS = text(
    """
    SELECT status.installation_id, status.last_gateway_id, installation.gateway_id AS expected_gateway_id
    FROM installation_status AS status
    JOIN meter_installation AS installation ON installation.id = status.installation_id
    WHERE status.alert_id IS NULL AND status.installation_id IN (
        SELECT id FROM meter_installation WHERE gateway_id = ANY (:gateway_ids)
        UNION ALL
        SELECT installation_id FROM installation_status
        WHERE last_gateway_id = ANY (:gateway_ids)
          AND tenant_id IN (SELECT tenant_id FROM gateway WHERE id = ANY (:gateway_ids)))
    ORDER BY status.installation_id FOR UPDATE OF status
    """
).bindparams(bindparam("gateway_ids", type_=ARRAY(Text())))

JUDGE_AFRESH = text(
    "UPDATE installation_status SET judged_from = :until, due_at = least(due_at, :until)"
    " WHERE installation_id = ANY (:ids)"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))

SET_STATUS = (
    update(GatewayStatus)
    .where(GatewayStatus.gateway_id == bindparam("id_"))
    .values(
        state=bindparam("state_"),
        state_since=bindparam("since_"),
        due_at=bindparam("due_at_"),
        alert_id=bindparam("alert_id_"),
    )
)


@dataclass(frozen=True)
class GatewaysSwept:
    """What a sweep of gateways found: how many fell silent, and how many are back."""

    silent: int = 0
    back: int = 0

    def __add__(self, other: "GatewaysSwept") -> "GatewaysSwept":
        """Both together."""
        return GatewaysSwept(self.silent + other.silent, self.back + other.back)


@dataclass(frozen=True)
class _Transition:
    subject: GatewaySubject
    verdict: GatewayVerdict

    @property
    def changes_state(self) -> bool:
        return self.verdict.state is not self.subject.silence.state

    @cached_property
    def alert_id(self) -> UUID | None:
        if self.verdict.alert in OPENED:
            return uuid4()
        return None if self.verdict.alert in CLOSED else self.subject.alert_id


async def sweep_gateways(engine: AsyncEngine, until: datetime, now: datetime) -> GatewaysSwept:
    """Judge every gateway that is due by `until`, and every silent one that was heard again.

    When one is back, or gone, the installations that could not be heard without it are judged afresh: their silence
    counts from `until`.
    """
    return await _fall_silent(engine, until, now) + await _come_back(engine, until, now)


async def _fall_silent(engine: AsyncEngine, until: datetime, now: datetime) -> GatewaysSwept:
    swept = GatewaysSwept()
    while True:
        async with engine.begin() as connection:
            subjects = await lock_due(connection, until, at_most=AT_MOST)
            swept += _counted(await _judge(connection, subjects, until, now))
        if len(subjects) < AT_MOST:
            return swept


async def _come_back(engine: AsyncEngine, until: datetime, now: datetime) -> GatewaysSwept:
    """Installations are locked before gateways, as by what changes a policy: who has a gateway waits for nothing."""
    swept, after = GatewaysSwept(), ""
    while True:
        async with engine.begin() as connection:
            found = await perhaps_back(connection, until, after=after, at_most=AT_MOST)
            # One that said something long ago and is silent still is found each time: it costs a look, and no lock.
            ids = [one.gateway_id for one in found if one.is_due(until) or _is_heard(on_the_clock(one.silence, until))]
            installations = await _lock_installations(connection, ids)
            transitions = await _judge(connection, await lock_silent(connection, ids, until), until, now)
            heard = {one.subject.gateway_id for one in transitions if _is_heard(one.verdict)}
            await _judge_afresh(connection, [one for one, gateways in installations.items() if gateways & heard], until)
        swept += _counted(transitions)
        if len(found) < AT_MOST:
            return swept
        after = max(one.gateway_id for one in found)


async def _lock_installations(connection: AsyncConnection, gateway_ids: Sequence[str]) -> dict[UUID, set[str | None]]:
    """The unreported installations of the gateways, each with those that it can be heard by."""
    if not gateway_ids:
        return {}
    found = await connection.execute(LOCK_INSTALLATIONS, {"gateway_ids": gateway_ids})
    return {row.installation_id: {row.expected_gateway_id, row.last_gateway_id} for row in found}


async def _judge_afresh(connection: AsyncConnection, installation_ids: Sequence[UUID], until: datetime) -> None:
    if installation_ids:
        await connection.execute(JUDGE_AFRESH, {"ids": installation_ids, "until": until})


async def _judge(
    connection: AsyncConnection, subjects: Sequence[GatewaySubject], until: datetime, now: datetime
) -> list[_Transition]:
    """Judge gateways that are locked, and write down what became of them and what is to be told of it."""
    transitions = [_Transition(one, on_the_clock(one.silence, until)) for one in subjects]
    openings = [
        Opening(
            alert_id=alert_id,
            tenant_id=one.subject.tenant_id,
            because=OPENED[one.verdict.alert],
            since=one.subject.silence.silent_since,
            gateway_id=one.subject.gateway_id,
        )
        for one in transitions
        if one.verdict.alert in OPENED and (alert_id := one.alert_id) is not None
    ]
    await open_alerts(connection, openings, now)
    closing = {one.subject.alert_id: one for one in transitions if one.verdict.alert in CLOSED and one.subject.alert_id}
    told = await close_alerts(
        connection, {alert_id: CLOSED[one.verdict.alert] for alert_id, one in closing.items()}, now
    )
    if transitions:
        await connection.execute(SET_STATUS, [_columns(one, until) for one in transitions])
    news = {one.alert_id: one.since for one in openings if one.because is OpenedBecause.SILENCE} | told
    by_alert = {one.alert_id: one for one in transitions} | closing
    concerned = [by_alert[alert_id].subject for alert_id in news]
    meters = await meters_of(connection, [one.gateway_id for one in concerned], until)
    await enqueue(
        connection,
        [
            _event(
                by_alert[alert_id], alert_id, since, meters.get(by_alert[alert_id].subject.gateway_id, Meters()), now
            )
            for alert_id, since in news.items()
        ],
    )
    return transitions


def _columns(one: _Transition, until: datetime) -> dict[str, object]:
    since = one.subject.state_since
    if one.changes_state:
        since = until if _is_heard(one.verdict) else one.subject.silence.due_at
    return {
        "id_": one.subject.gateway_id,
        "state_": one.verdict.state.value,
        "since_": since,
        "due_at_": one.verdict.due_at,
        "alert_id_": one.alert_id,
    }


def _event(
    one: _Transition, alert_id: UUID, silent_since: datetime, meters: Meters, now: datetime
) -> GatewayAlertEvent:
    silence = one.subject.silence
    is_back = _is_heard(one.verdict)
    return gateway_event(
        AlertEventType.GATEWAY_RECOVERED if is_back else AlertEventType.GATEWAY_SILENT,
        GatewayAlert(
            alert_id=alert_id,
            tenant_id=one.subject.tenant_id,
            gateway_id=one.subject.gateway_id,
            gateway_name=one.subject.name,
            installations=meters.installations,
            properties=meters.properties,
            addresses=list(meters.addresses),
            since=silence.silent_since if is_back else silent_since,
            silent_since=silent_since,
            last_heard_at=silence.heard_at,
        ),
        now=now,
    )


def _is_heard(verdict: GatewayVerdict) -> bool:
    return verdict.state is GatewayState.HEARD


def _counted(transitions: Sequence[_Transition]) -> GatewaysSwept:
    changed = [one.verdict.state for one in transitions if one.changes_state]
    return GatewaysSwept(silent=changed.count(GatewayState.SILENT), back=changed.count(GatewayState.HEARD))
