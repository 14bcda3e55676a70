"""Makes readings of telegrams, to be judged as all others are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from typing_extensions import override

from services.ingest.payload import Payload, SentReading
from services.ingest.reasons import Refused
from services.ingest.verdicts import (
    Installation,
    Registry,
    gateway_mismatch,
    mounted_at,
    unknown_gateway,
    unknown_meter,
)
from services.ingest.wmbus.telegrams import SentTelegrams, Telegram
from services.ingest.wmbus.values import Metering, battery_of, rssi_of, value_of


@dataclass(frozen=True)
class Meters:
    """The installations that telegrams name, by tenant and serial, all that ever had it; and what each counts."""

    by_serial: Mapping[tuple[UUID, str], Sequence[Installation]]
    metering: Mapping[UUID, Metering]


@dataclass(frozen=True)
class TelegramReadings(Payload):
    """The readings of a message of telegrams."""

    @override
    def originals(self) -> list[str]:
        return SentTelegrams((), self.body).originals()


def to_readings(sent: SentTelegrams, gateway_id: str, registry: Registry, meters: Meters) -> TelegramReadings:
    """The readings that a gateway's telegrams say, and for the others why they say none."""
    readings = [
        one if isinstance(one, Refused) else _to_reading(one, gateway_id, registry, meters) for one in sent.telegrams
    ]
    return TelegramReadings(readings, None, sent.body)


def _to_reading(telegram: Telegram, gateway_id: str, registry: Registry, meters: Meters) -> SentReading | Refused:
    tenant_id = registry.tenants_of_gateways.get(gateway_id)
    if tenant_id is None:
        return unknown_gateway(gateway_id)
    if telegram.gateway_id is not None and telegram.gateway_id != gateway_id:
        return gateway_mismatch(gateway_id, telegram.gateway_id)
    known = (meters.by_serial.get((tenant_id, serial), ()) for serial in telegram.spellings)
    candidates = next((installations for installations in known if installations), ())
    if not candidates:
        return unknown_meter(telegram.serial)
    installation = mounted_at(telegram.timestamp, candidates)
    value = value_of(telegram.fields, meters.metering[installation.id])
    if isinstance(value, Refused):
        return value
    return SentReading(
        installation_id=installation.id,
        timestamp=telegram.timestamp,
        value=value,
        rssi_dbm=rssi_of(telegram.fields),
        battery_level_pct=battery_of(telegram.fields),
    )
