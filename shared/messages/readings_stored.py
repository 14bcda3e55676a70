"""`readings.stored`: one event a commit and tenant, with the newest reading of each installation in the commit."""

from datetime import datetime
from uuid import UUID

import msgspec

from shared.messages.cloudevents import CloudEvent

TYPE = "readings.stored"
SOURCE = "/mbus/ingest"
MAX_EVENT_BYTES = 1024 * 1024


class InstallationHeard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An installation's newest reading in the commit; `count` is the number of its readings in it.

    `received_at` tells a correction from what it corrects; None where nobody knows which of two values is the newer.
    """

    installation_id: UUID
    gateway_id: str
    timestamp: datetime
    value: float
    rssi_dbm: int | None
    battery_level_pct: int | None
    count: int
    received_at: datetime | None = None


class ReadingsStored(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard of a tenant in one commit, or a part of it where the whole exceeds `MAX_EVENT_BYTES`."""

    tenant_id: UUID
    gateways: list[str]
    installations: list[InstallationHeard]


ReadingsStoredEvent = CloudEvent[ReadingsStored]


def decode(body: bytes) -> ReadingsStoredEvent:
    """Read an event; `msgspec.DecodeError` when it is none. Unknown fields are ignored."""
    return msgspec.json.decode(body, type=ReadingsStoredEvent)


def encode(event: ReadingsStoredEvent) -> bytes:
    """Write an event as UTF-8 JSON."""
    return msgspec.json.encode(event)
