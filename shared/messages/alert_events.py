"""`installation.stale` and `installation.recovered`: what subscribers of the `alerts` exchange receive."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.messages.cloudevents import CloudEvent

SOURCE = "/mbus/alerts"


class AlertEventType(StrEnum):
    """The last part of an alert event's routing key, and its CloudEvents type."""

    INSTALLATION_STALE = "installation.stale"
    INSTALLATION_RECOVERED = "installation.recovered"


class LastReading(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of an installation, by the reading's own timestamp."""

    timestamp: datetime
    value: float
    rssi_dbm: int | None
    battery_level_pct: int | None


class InstallationAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to find the meter. `since` is when it fell silent or was heard again."""

    alert_id: UUID
    tenant_id: UUID
    installation_id: UUID
    meter_serial: str
    medium: str
    unit_of_measure: str
    property_name: str
    address: str
    unit_label: str
    gateway_id: str | None
    since: datetime
    last_reading: LastReading | None


AlertEvent = CloudEvent[InstallationAlert]


def decode(body: bytes) -> AlertEvent:
    """Read an event; `msgspec.DecodeError` when it is none. Unknown fields are ignored."""
    return msgspec.json.decode(body, type=AlertEvent)
