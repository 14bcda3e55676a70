"""The alerts themselves: opened and closed in the transaction of the transition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import any_, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from services.alerts.rules.staleness import Consequence
from shared.models import Alert, AlertType, ClosedBecause, OpenedBecause

MOMENT = DateTime(timezone=True)

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


class Judged(Protocol):
    """An installation or a gateway that was looked at, with what becomes of its alert."""

    @property
    def consequence(self) -> Consequence:
        """What becomes of its alert."""

    @property
    def alert_before(self) -> UUID | None:
        """The alert that has been open."""

    @property
    def alert_id(self) -> UUID | None:
        """The alert that is open from now on: see `alert_after`."""

    def opening(self, alert_id: UUID) -> "Opening":
        """Its alert, where one is opened."""


J = TypeVar("J", bound=Judged)


@dataclass(frozen=True)
class News(Generic[J]):
    """That a silence has begun, or has ended."""

    of: J
    alert_id: UUID
    silent_since: datetime
    """When it began, in both."""


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


def alert_after(consequence: Consequence, before: UUID | None) -> UUID | None:
    """The alert that is open from now on, where `before` was; a new one has another id at each call."""
    if consequence in OPENED:
        return uuid4()
    return None if consequence in CLOSED else before


async def report(
    connection: AsyncConnection, judged: Sequence[J], now: datetime
) -> tuple[list[News[J]], list[News[J]]]:
    """Open and close the alerts; returns which silences have begun and which have ended, as far as that is news.

    The beginning is news when silence is what opened the alert; the end, when the beginning was and being heard is what
    closed it.
    """
    opened = [
        (one, one.opening(alert_id))
        for one in judged
        if one.consequence in OPENED and (alert_id := one.alert_id) is not None
    ]
    closed = {
        alert_id: one for one in judged if one.consequence in CLOSED and (alert_id := one.alert_before) is not None
    }
    await _open(connection, [opening for _, opening in opened], now)
    told = await _close(connection, {alert_id: CLOSED[one.consequence] for alert_id, one in closed.items()}, now)
    begun = [
        News(one, opening.alert_id, opening.since)
        for one, opening in opened
        if opening.because is OpenedBecause.SILENCE
    ]
    ended = [News(closed[alert_id], alert_id, silent_since) for alert_id, silent_since in told.items()]
    return begun, ended


async def _open(connection: AsyncConnection, openings: Sequence[Opening], now: datetime) -> None:
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


async def _close(
    connection: AsyncConnection, closings: Mapping[UUID, ClosedBecause], now: datetime
) -> dict[UUID, datetime]:
    """Returns those whose end is news, with when their silence began."""
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
        # In the order of their ids, as whoever else locks several of them.
        [{"alert_id": alert_id, "at": now, "because": because.value} for alert_id, because in sorted(closings.items())],
    )
    return told
