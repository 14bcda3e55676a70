"""The alerts themselves, and the deliveries of their events: written in the transaction of the transition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import any_, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.alerts.rules.staleness import Consequence
from shared.messages.alert_events import GatewayAlertEvent, InstallationAlertEvent
from shared.models import Alert, AlertType, ClosedBecause, Delivery, OpenedBecause

OPENED = {
    Consequence.OPEN: OpenedBecause.SILENCE,
    Consequence.OPEN_QUIETLY: OpenedBecause.RULES_CHANGED,
}
CLOSED = {
    Consequence.CLOSE: ClosedBecause.HEARD,
    Consequence.CLOSE_QUIETLY: ClosedBecause.RULES_CHANGED,
    Consequence.REMOVE: ClosedBecause.REMOVED,
}


@dataclass(frozen=True)
class Opening:
    """An alert to open; it is of an installation or of a gateway. `since` is when the silence began."""

    alert_id: UUID
    tenant_id: UUID
    because: OpenedBecause
    since: datetime
    last_reading_at: datetime | None = None
    installation_id: UUID | None = None
    gateway_id: str | None = None

    @property
    def type(self) -> AlertType:
        """What it is about."""
        return AlertType.GATEWAY_SILENT if self.installation_id is None else AlertType.INSTALLATION_STALE


async def open_alerts(connection: AsyncConnection, openings: Sequence[Opening], now: datetime) -> None:
    """Write the alerts; whose opening is news is the caller's to tell."""
    if openings:
        await connection.execute(
            insert(Alert),
            [
                {
                    "id": one.alert_id,
                    "tenant_id": one.tenant_id,
                    "type": one.type.value,
                    "installation_id": one.installation_id,
                    "gateway_id": one.gateway_id,
                    "since": one.since,
                    "opened_at": now,
                    "opened_because": one.because.value,
                    "last_reading_at": one.last_reading_at,
                }
                for one in openings
            ],
        )


async def close_alerts(
    connection: AsyncConnection, closings: Mapping[UUID, ClosedBecause], now: datetime
) -> dict[UUID, datetime]:
    """Close the alerts; returns those whose end is news, with when their silence began.

    It is news when the silence was, and being heard ended it.
    """
    if not closings:
        return {}
    known = await connection.execute(
        select(Alert.id, Alert.since, Alert.opened_because).where(
            Alert.id == any_(bindparam("ids", type_=ARRAY(Uuid())))
        ),
        {"ids": list(closings)},
    )
    told = {
        row.id: row.since
        for row in known
        if row.opened_because == OpenedBecause.SILENCE.value and closings[row.id] is ClosedBecause.HEARD
    }
    await connection.execute(
        update(Alert)
        .where(Alert.id == bindparam("alert_id"))
        .values(closed_at=bindparam("at"), closed_because=bindparam("because")),
        [{"alert_id": alert_id, "at": now, "because": because.value} for alert_id, because in closings.items()],
    )
    return told


async def enqueue(
    connection: AsyncConnection, events: Sequence[InstallationAlertEvent] | Sequence[GatewayAlertEvent]
) -> None:
    """Make the deliveries of `events`."""
    if events:
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
