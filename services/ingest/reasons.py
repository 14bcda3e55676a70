"""Why a reading goes to quarantine."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """The `reason` of a quarantined reading; part of the contract with operators (docs/gateway-protocol.md)."""

    NOT_AN_OBJECT = "not_an_object"
    MALFORMED = "malformed"
    INVALID_INSTALLATION_ID = "invalid_installation_id"
    INVALID_METER_SERIAL = "invalid_meter_serial"
    INVALID_TIMESTAMP = "invalid_timestamp"
    NAIVE_TIMESTAMP = "naive_timestamp"
    INVALID_VALUE = "invalid_value"
    INVALID_RSSI = "invalid_rssi"
    INVALID_BATTERY_LEVEL = "invalid_battery_level"

    GATEWAY_MISMATCH = "gateway_mismatch"
    UNKNOWN_GATEWAY = "unknown_gateway"
    GATEWAY_DISABLED = "gateway_disabled"
    NO_INSTALLATION = "no_installation"
    UNKNOWN_INSTALLATION = "unknown_installation"
    FOREIGN_INSTALLATION = "foreign_installation"
    INSTALLATION_DELETED = "installation_deleted"
    BEFORE_INSTALLATION = "before_installation"
    NO_USABLE_VALUE = "no_usable_value"
    IN_THE_FUTURE = "in_the_future"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True)
class Refused:
    """A reading that is not stored, with what a person needs to see why.

    `awaits` names what is not in the registry and may come: a gateway's id, or an installation's id or serial. Where
    it is set, `timestamp` is the reading's, in UTC.
    """

    reason: Reason
    detail: str
    awaits: str | None = None
    timestamp: datetime | None = None
