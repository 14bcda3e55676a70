"""What a gateway publishes: a batch of readings (docs/gateway-protocol.md).

These types are for writing such messages, and their schema is what the AsyncAPI document says of them. Ingest reads
what gateways really send, which may be anything, with `services.ingest.payload`.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.topology import GATEWAY_ID

MAX_MESSAGE_BYTES = 4 * 1024 * 1024

GatewayId = Annotated[
    str, Meta(pattern=f"^{GATEWAY_ID.pattern}$", description="If it is there, the one in the routing key or topic.")
]
MeterSerial = Annotated[
    str, Meta(min_length=1, description="The meter's serial as text, with its leading zeros; hexadecimal digits occur.")
]
Value = Annotated[float, Meta(description="A finite number in the installation's unit of measure.")]
ReadAt = Annotated[datetime, Meta(tz=True, description="When the meter showed it, with an offset from UTC.")]
SentAt = Annotated[datetime, Meta(tz=True, description="When the gateway sent the message. Not looked at.")]
Rssi = Annotated[int, Meta(ge=-200, le=50, description="How strong the meter was heard; a fraction is rounded.")]
Battery = Annotated[int, Meta(ge=0, le=100, description="What is left of the meter's battery; a fraction is rounded.")]
InstallationId = Annotated[
    UUID, Meta(description="The installation's id; also taken as `meter_installation_id`. It goes before the serial.")
]


class GatewayReading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reading; `value` in the installation's unit of measure, named by its id or by the meter's serial."""

    installation_id: InstallationId | None = None
    meter_serial: MeterSerial | None = None
    timestamp: ReadAt
    value: Value
    rssi_dbm: Rssi | None = None
    battery_level_pct: Battery | None = None


class GatewayMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A batch of readings as one message."""

    gateway_id: GatewayId | None = None
    sent_at: SentAt | None = None
    readings: list[GatewayReading]
