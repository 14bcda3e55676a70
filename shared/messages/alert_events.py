"""What subscribers of the `alerts` exchange receive: events of installations and gateways, and of the pipeline."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

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


class PipelineCause(StrEnum):
    """What can keep silence from being judged."""

    STARTED = "started"
    ABSENT = "absent"
    BROKER = "broker"
    DATABASE = "database"
    CLOCK = "clock"
    BEHIND = "behind"


AlertId = Annotated[UUID, Meta(description="The silence: the same in the event of its beginning and of its end.")]
TenantId = Annotated[UUID, Meta(description="Whose it is; the first word of the routing key too.")]
SilentSince = Annotated[datetime, Meta(tz=True, description="When the silence began, also in a recovery.")]


class LastReading(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of an installation, by the reading's own timestamp."""

    timestamp: Annotated[datetime, Meta(tz=True, description="When the meter showed it.")]
    value: Annotated[float, Meta(description="In the installation's unit of measure.")]
    rssi_dbm: Annotated[int, Meta(description="How strong the meter was heard.")] | None
    battery_level_pct: Annotated[int, Meta(description="What is left of the meter's battery.")] | None


class InstallationAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to find the meter, and since when it has been silent, or heard again."""

    alert_id: AlertId
    tenant_id: TenantId
    installation_id: Annotated[UUID, Meta(description="Its id in the API.")]
    meter_serial: Annotated[str, Meta(description="What stands on the meter, with its leading zeros.")]
    medium: Annotated[str, Meta(description="Such as `heat` or `cold_water`.")]
    unit_of_measure: Annotated[str, Meta(description="Of the last reading's value, such as `kWh`.")]
    property_id: Annotated[UUID, Meta(description="The building's id in the API.")]
    property_name: Annotated[str, Meta(description="What the building is called.")]
    address: Annotated[str, Meta(description="Where the building is.")]
    unit_label: Annotated[str, Meta(description="The flat or room in which the meter is.")]
    gateway_id: Annotated[str, Meta(description="By which it was last heard, else by which it should be.")] | None
    since: Annotated[
        datetime,
        Meta(tz=True, description="When it fell silent; in a recovery, the time of the reading that ended that."),
    ]
    silent_since: SilentSince
    last_reading: LastReading | None
    """None: it was never heard."""


class GatewayAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to find the gateway, and since when it has been silent, or heard again."""

    alert_id: AlertId
    tenant_id: TenantId
    gateway_id: Annotated[str, Meta(description="Its id, which is its user name at the broker too.")]
    gateway_name: Annotated[str, Meta(description="What people call it.")]
    installations: Annotated[int, Meta(description="How many meters it should hear.")]
    properties: Annotated[int, Meta(description="In how many buildings these are.")]
    addresses: Annotated[
        list[str], Meta(max_length=MOST_ADDRESSES, description="Of these buildings, in alphabetical order; not all.")
    ]
    since: Annotated[
        datetime,
        Meta(
            tz=True,
            description="When it was last heard, or registered. In a recovery, when its newest message came, by when"
            " alerts found it back: where judgement was held, not the first after the silence.",
        ),
    ]
    silent_since: SilentSince
    last_heard_at: Annotated[datetime, Meta(tz=True, description="Null: it was never heard.")] | None


class PipelineAlert(msgspec.Struct, frozen=True, kw_only=True):
    """For operators: that silence is not judged, and why. A recovery says what was told when that began."""

    since: Annotated[datetime, Meta(tz=True, description="Since when silence was not judged.")]
    cause: Annotated[PipelineCause, Meta(description="Why, in a word for a program.")]
    reason: Annotated[str, Meta(description="Why, in words for a person.")]
    judged_until: Annotated[datetime, Meta(tz=True, description="Up to when it had been judged.")] | None


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
