"""What subscribers of the `alerts` exchange receive: events of installations and gateways, and of the pipeline."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from shared.messages.cloudevents import CloudEvent

SOURCE = "/mbus/alerts"

MOST_ADDRESSES = 10
"""Where a gateway's meters are, as far as a person reads it."""


class AlertEventType(StrEnum):
    """The last part of an alert event's routing key, and its CloudEvents type."""

    INSTALLATION_STALE = "installation.stale"
    INSTALLATION_RECOVERED = "installation.recovered"
    GATEWAY_SILENT = "gateway.silent"
    GATEWAY_RECOVERED = "gateway.recovered"
    PIPELINE_DEGRADED = "pipeline.degraded"
    PIPELINE_RECOVERED = "pipeline.recovered"


class LastReading(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of an installation, by the reading's own timestamp."""

    timestamp: datetime
    value: float
    rssi_dbm: int | None
    battery_level_pct: int | None


class InstallationAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to find the meter.

    `since` is when it fell silent; in a recovery, the time of the reading that ended the silence. `silent_since` is
    when the silence began, in both.
    """

    alert_id: UUID
    tenant_id: UUID
    installation_id: UUID
    meter_serial: str
    medium: str
    unit_of_measure: str
    property_id: UUID
    property_name: str
    address: str
    unit_label: str
    gateway_id: str | None
    since: datetime
    silent_since: datetime
    last_reading: LastReading | None


class GatewayAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to find the gateway.

    `since` is when it was last heard, or registered, if it never was; in a recovery, when it was heard again.
    `silent_since` is when the silence began, in both. `installations` is how many meters it should hear, in so many
    `properties`; of their addresses, in alphabetical order, `MOST_ADDRESSES` are told at most.
    """

    alert_id: UUID
    tenant_id: UUID
    gateway_id: str
    gateway_name: str
    installations: int
    properties: int
    addresses: list[str]
    since: datetime
    silent_since: datetime
    last_heard_at: datetime | None


class PipelineAlert(msgspec.Struct, frozen=True, kw_only=True):
    """For operators: since when silence is not judged, why, and up to when it was. In a recovery, of what ended."""

    since: datetime
    reason: str
    judged_until: datetime | None


InstallationAlertEvent = CloudEvent[InstallationAlert]
GatewayAlertEvent = CloudEvent[GatewayAlert]
PipelineAlertEvent = CloudEvent[PipelineAlert]
AlertEvent = InstallationAlertEvent | GatewayAlertEvent | PipelineAlertEvent


def decode(body: bytes) -> AlertEvent:
    """Read an event of any type; `msgspec.DecodeError` when it is none. Unknown fields are ignored."""
    kind = msgspec.json.decode(body, type=CloudEvent[Any]).type
    match kind.partition(".")[0]:
        case "installation":
            return msgspec.json.decode(body, type=InstallationAlertEvent)
        case "gateway":
            return msgspec.json.decode(body, type=GatewayAlertEvent)
        case "pipeline":
            return msgspec.json.decode(body, type=PipelineAlertEvent)
        case _:
            raise msgspec.ValidationError(f"no type of alert events: {kind!r}")
