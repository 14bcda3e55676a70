"""The alerts themselves, and the deliveries of their events: written in the transaction of the transition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import any_, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from services.alerts.rules.staleness import Consequence
from shared.messages.alert_events import GatewayAlertEvent, InstallationAlertEvent
from shared.models import Alert, AlertType, ClosedBecause, OpenedBecause

MOMENT = DateTime(timezone=True)

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When an event is to be published first: whatever a clock says, which may be what is wrong."""

OPENED = {
    Consequence.OPEN: OpenedBecause.SILENCE,
    Consequence.OPEN_QUIETLY: OpenedBecause.RULES_CHANGED,
}
CLOSED = {
    Consequence.CLOSE: ClosedBecause.HEARD,
    Consequence.CLOSE_QUIETLY: ClosedBecause.RULES_CHANGED,
    Consequence.REMOVE: ClosedBecause.REMOVED,
}

# Sets, and not a statement a row: that takes the server three times as long.
OPEN = text(
    """
    INSERT INTO alert (id, tenant_id, type, installation_id, gateway_id, since, opened_because, last_reading_at,
                       opened_at)
    SELECT opened.*, :now
    FROM unnest(:ids, :tenant_ids, :types, :installation_ids, :gateway_ids, :since, :because, :read) AS opened
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("tenant_ids", type_=ARRAY(Uuid())),
    bindparam("types", type_=ARRAY(Text())),
    bindparam("installation_ids", type_=ARRAY(Uuid())),
    bindparam("gateway_ids", type_=ARRAY(Text())),
    bindparam("since", type_=ARRAY(MOMENT)),
    bindparam("because", type_=ARRAY(Text())),
    bindparam("read", type_=ARRAY(MOMENT)),
    bindparam("now", type_=MOMENT),
)

# In the order of the events, which `position` keeps.
ENQUEUE = text(
    """
    INSERT INTO delivery (id, alert_id, tenant_id, event_type, event, created_at, next_attempt_at)
    SELECT made.id, made.alert_id, made.tenant_id, made.event_type, cast(made.event AS jsonb), made.at, :at_once
    FROM unnest(:ids, :alert_ids, :tenant_ids, :types, :events, :made) WITH ORDINALITY
        AS made (id, alert_id, tenant_id, event_type, event, at, number)
    ORDER BY made.number
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("alert_ids", type_=ARRAY(Uuid())),
    bindparam("tenant_ids", type_=ARRAY(Uuid())),
    bindparam("types", type_=ARRAY(Text())),
    bindparam("events", type_=ARRAY(Text())),
    bindparam("made", type_=ARRAY(MOMENT)),
    bindparam("at_once", value=AT_ONCE, type_=MOMENT),
)


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
            OPEN,
            {
                "ids": [one.alert_id for one in openings],
                "tenant_ids": [one.tenant_id for one in openings],
                "types": [one.type.value for one in openings],
                "installation_ids": [one.installation_id for one in openings],
                "gateway_ids": [one.gateway_id for one in openings],
                "since": [one.since for one in openings],
                "because": [one.because.value for one in openings],
                "read": [one.last_reading_at for one in openings],
                "now": now,
            },
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
            ENQUEUE,
            {
                "ids": [UUID(event.id) for event in events],
                "alert_ids": [event.data.alert_id for event in events],
                "tenant_ids": [event.data.tenant_id for event in events],
                "types": [event.type for event in events],
                "events": [msgspec.json.encode(event).decode() for event in events],
                "made": [event.time for event in events],
            },
        )
