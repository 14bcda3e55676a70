"""Makes readings of telegrams, to be judged as all others are."""

from dataclasses import dataclass

from typing_extensions import override

from services.ingest.payload import Payload, SentReading
from services.ingest.reasons import Refused
from services.ingest.registry import Registry
from services.ingest.verdicts import (
    gateway_mismatch,
    mounted_at,
    unknown_gateway,
    unknown_meter,
)
from services.ingest.wmbus.telegrams import SentTelegrams, Telegram
from services.ingest.wmbus.values import Metering, battery_of, rssi_of, value_of


@dataclass(frozen=True)
class TelegramReadings(Payload):
    """The readings of a message of telegrams."""

    @override
    def originals(self) -> list[str]:
        return SentTelegrams((), self.body).originals()


def to_readings(sent: SentTelegrams, gateway_id: str, registry: Registry) -> TelegramReadings:
    """The readings that a gateway's telegrams say, and for the others why they say none.

    `registry` knows the gateway and the meters, if they are registered.
    """
    readings = [one if isinstance(one, Refused) else _to_reading(one, gateway_id, registry) for one in sent.telegrams]
    clean = [one for one in readings if not isinstance(one, Refused)]
    return TelegramReadings(readings, None, sent.body, clean=clean if len(clean) == len(readings) else None)


def _to_reading(telegram: Telegram, gateway_id: str, registry: Registry) -> SentReading | Refused:
    if telegram.gateway_id is not None and telegram.gateway_id != gateway_id:
        return gateway_mismatch(gateway_id, telegram.gateway_id)
    tenant_id = registry.tenants_of_gateways.get(gateway_id)
    if tenant_id is None:
        return unknown_gateway(gateway_id, telegram.time)
    by_serial = registry.meters_of(tenant_id).by_serial
    serial = next((serial for serial in telegram.spellings if serial in by_serial), None)
    if serial is None:
        return unknown_meter(telegram.serial, telegram.time)
    installation = mounted_at(telegram.time, by_serial[serial])
    metering = Metering(installation.medium, installation.unit_of_measure, installation.value_field)
    value = value_of(telegram.fields, metering)
    if isinstance(value, Refused):
        return value
    return SentReading(
        meter_serial=serial,
        timestamp=telegram.timestamp,
        value=value,
        rssi_dbm=rssi_of(telegram.fields),
        battery_level_pct=battery_of(telegram.fields),
    )
