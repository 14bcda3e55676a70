"""Writes what became of gateways: status, alert and delivery, in the transaction that judged them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.events import gateway_event
from services.alerts.operations.reporting import OPENED, News, Opening, alert_after, report
from services.alerts.operations.telling import tell_all
from services.alerts.queries.gateways import GatewaySubject, Meters, meters_of
from services.alerts.rules.gateways import GatewayVerdict
from services.alerts.rules.staleness import Consequence
from shared.messages.alert_events import AlertEventType, GatewayAlert, GatewayAlertEvent
from shared.models import GatewayStatus

SET_STATUS = (
    update(GatewayStatus)
    .where(GatewayStatus.gateway_id == bindparam("id_"))
    .values(
        state=bindparam("state_"),
        state_since=bindparam("since_"),
        due_at=bindparam("due_at_"),
        heard_at=bindparam("heard_at_"),
        alert_id=bindparam("alert_id_"),
    )
)


@dataclass(frozen=True)
class GatewayTransition:
    """A gateway that was looked at, as of `until`, with what it is from now on."""

    subject: GatewaySubject
    verdict: GatewayVerdict
    until: datetime

    @property
    def changes_state(self) -> bool:
        """Whether it is in another state than before."""
        return self.verdict.state is not self.subject.silence.state

    @property
    def state_since(self) -> datetime:
        """Since when it is in the state that it is in from now on."""
        if not self.changes_state:
            return self.subject.state_since
        return self.until if self.verdict.is_heard else self.subject.silence.due_at

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
            gateway_id=self.subject.gateway_id,
        )


async def write(connection: AsyncConnection, transitions: Sequence[GatewayTransition], now: datetime) -> None:
    """Write down what became of gateways that the caller has locked, and what is to be told of it."""
    if not transitions:
        return
    begun, ended = await report(connection, transitions, now)
    await connection.execute(SET_STATUS, [_columns(one) for one in transitions])
    await _tell(connection, AlertEventType.GATEWAY_SILENT, begun, now)
    await _tell(connection, AlertEventType.GATEWAY_RECOVERED, ended, now)


async def _tell(
    connection: AsyncConnection, kind: AlertEventType, news: Sequence[News[GatewayTransition]], now: datetime
) -> None:
    # What it should hear is as of when it was judged, which is the same for all.
    meters = await meters_of(connection, [one.of.subject.gateway_id for one in news], news[0].of.until) if news else {}
    await tell_all(
        connection, [_event(kind, one, meters.get(one.of.subject.gateway_id, Meters()), now) for one in news]
    )


def _columns(one: GatewayTransition) -> dict[str, object]:
    return {
        "id_": one.subject.gateway_id,
        "state_": one.verdict.state.value,
        "since_": one.state_since,
        "due_at_": one.verdict.due_at,
        "heard_at_": one.subject.silence.heard_at,
        "alert_id_": one.alert_id,
    }


def _event(kind: AlertEventType, news: News[GatewayTransition], meters: Meters, now: datetime) -> GatewayAlertEvent:
    subject = news.of.subject
    is_back = kind is AlertEventType.GATEWAY_RECOVERED
    return gateway_event(
        kind,
        GatewayAlert(
            alert_id=news.alert_id,
            tenant_id=subject.tenant_id,
            gateway_id=subject.gateway_id,
            gateway_name=subject.name,
            installations=meters.installations,
            properties=meters.properties,
            addresses=list(meters.addresses),
            since=subject.silence.silent_since if is_back else news.silent_since,
            silent_since=news.silent_since,
            last_heard_at=subject.silence.heard_at,
        ),
        now=now,
    )
