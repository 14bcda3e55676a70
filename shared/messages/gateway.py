"""What a gateway publishes: a batch of readings (docs/gateway-protocol.md).

These types are for writing such messages. Ingest reads what gateways really send, which may be anything, with
`services.ingest.payload`.
"""

from datetime import datetime
from uuid import UUID

import msgspec

MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class GatewayReading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reading; `value` in the installation's unit of measure, named by its id or by the meter's serial."""

    installation_id: UUID | None = None
    meter_serial: str | None = None
    timestamp: datetime
    value: float
    rssi_dbm: int | None = None
    battery_level_pct: int | None = None


class GatewayMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A batch of readings as one message."""

    gateway_id: str | None = None
    sent_at: datetime | None = None
    readings: list[GatewayReading]
