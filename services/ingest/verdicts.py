"""The verdict on a reading: it belongs to an installation of the sender's tenant, at a time that can be, or why not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.ingest.payload import SentReading
from services.ingest.reasons import Reason, Refused

FUTURE_TOLERANCE = timedelta(hours=1)
"""A stopped or wild clock must not hold an installation fresh for ever."""

EARLY_TOLERANCE = timedelta(days=1)
"""Meters are often read before they are registered as installed; but one message of wild old times would make a
thousand chunks and exhaust the server's locks."""

RSSI_DBM = (-200.0, 50.0)
BATTERY_LEVEL_PCT = (0.0, 100.0)


class Installation(NamedTuple):
    """What a verdict needs to know of a meter installation."""

    id: UUID
    tenant_id: UUID
    installed_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class Registry:
    """The gateways and installations that a batch names; `by_serial` holds all that ever had the serial.

    `disabled_gateways` says of those that are out of use since when they are.
    """

    tenants_of_gateways: Mapping[str, UUID]
    by_id: Mapping[UUID, Installation]
    by_serial: Mapping[tuple[UUID, str], Sequence[Installation]]
    disabled_gateways: Mapping[str, datetime] = field(default_factory=dict)


class Accepted(NamedTuple):
    """A reading to store; the first six fields are its row. `may_correct` is that of its delivery."""

    installation_id: UUID
    timestamp: datetime
    value: float
    received_at: datetime
    rssi_dbm: int | None
    battery_level_pct: int | None
    tenant_id: UUID
    gateway_id: str
    may_correct: bool


def judge(
    reading: SentReading,
    *,
    gateway_id: str,
    claimed_gateway: str | None,
    received_at: datetime,
    may_correct: bool,
    registry: Registry,
    now: datetime,
) -> Accepted | Refused:
    """Decide on one reading that `gateway_id` sent, by its routing key."""
    tenant_id = registry.tenants_of_gateways.get(gateway_id)
    if tenant_id is None:
        return unknown_gateway(gateway_id)
    for claim in (claimed_gateway, reading.gateway_id):
        if claim is not None and claim != gateway_id:
            return gateway_mismatch(gateway_id, claim)
    found = _find(reading, tenant_id, registry)
    if isinstance(found, Refused):
        return found
    fault = (
        _fault_of_time(reading.timestamp, found, now)
        or _fault_of_gateway(reading.timestamp, gateway_id, registry)
        or _fault_of_extras(reading)
    )
    if fault is not None:
        return fault
    return Accepted(
        found.id,
        reading.timestamp,
        reading.value,
        received_at,
        None if reading.rssi_dbm is None else round(reading.rssi_dbm),
        None if reading.battery_level_pct is None else round(reading.battery_level_pct),
        tenant_id,
        gateway_id,
        may_correct,
    )


def refuse_contradictions(verdicts: Iterable[Accepted | Refused]) -> Iterator[Accepted | Refused]:
    """Refuse what says another value of the same meter and time than a reading before it in the same message.

    Neither was transmitted later, so none corrects the other; that the first is stored is the same each time that the
    message comes.
    """
    values: dict[tuple[UUID, datetime], float] = {}
    for verdict in verdicts:
        if isinstance(verdict, Accepted):
            first = values.setdefault((verdict.installation_id, verdict.timestamp), verdict.value)
            if first != verdict.value:
                yield Refused(Reason.CONTRADICTION, f"{verdict.value!r}, and {first!r} earlier in the same message")
                continue
        yield verdict


def unknown_gateway(gateway_id: str) -> Refused:
    """Refuse what a gateway sent that nobody registered."""
    return Refused(Reason.UNKNOWN_GATEWAY, f"no gateway {gateway_id!r} is registered")


def gateway_mismatch(gateway_id: str, claim: str) -> Refused:
    """Refuse what names another gateway than the one that sent it."""
    return Refused(Reason.GATEWAY_MISMATCH, f"sent by {gateway_id!r}, but claims to be from {claim[:100]!r}")


def unknown_meter(serial: str) -> Refused:
    """Refuse what is from a meter that nobody registered."""
    return Refused(Reason.UNKNOWN_INSTALLATION, f"no meter {serial[:100]!r} is registered")


def _find(reading: SentReading, tenant_id: UUID, registry: Registry) -> Installation | Refused:
    installation_id = reading.installation_id or reading.meter_installation_id
    if installation_id is not None:
        installation = registry.by_id.get(installation_id)
        if installation is None:
            return Refused(Reason.UNKNOWN_INSTALLATION, f"no installation {installation_id} is registered")
        if installation.tenant_id != tenant_id:
            return Refused(
                Reason.FOREIGN_INSTALLATION, f"installation {installation_id} is not of the gateway's tenant"
            )
        return installation
    if reading.meter_serial is None:
        return Refused(Reason.NO_INSTALLATION, "neither installation_id nor meter_serial is given")
    candidates = registry.by_serial.get((tenant_id, reading.meter_serial), ())
    if not candidates:
        return unknown_meter(reading.meter_serial)
    return mounted_at(reading.timestamp, candidates)


def mounted_at(time: datetime, candidates: Sequence[Installation]) -> Installation:
    """The installation that had the serial at `time`, else the one that has it now, else the last that had it."""
    newest_first = sorted(candidates, key=lambda installation: installation.installed_at, reverse=True)
    for installation in newest_first:
        if time >= installation.installed_at and (installation.deleted_at is None or time < installation.deleted_at):
            return installation
    for installation in newest_first:
        if installation.deleted_at is None:
            return installation
    return newest_first[0]


def _fault_of_time(time: datetime, installation: Installation, now: datetime) -> Refused | None:
    # Differences, not sums: a time at the end of the calendar cannot be moved.
    if time - now > FUTURE_TOLERANCE:
        return Refused(Reason.IN_THE_FUTURE, f"{time.isoformat()} is more than an hour ahead of {now.isoformat()}")
    if installation.installed_at - time > EARLY_TOLERANCE:
        return Refused(
            Reason.BEFORE_INSTALLATION,
            f"{time.isoformat()} is more than a day before {installation.installed_at.isoformat()}, when the meter"
            " was installed",
        )
    if installation.deleted_at is not None and time >= installation.deleted_at:
        return Refused(Reason.INSTALLATION_DELETED, f"the installation ended at {installation.deleted_at.isoformat()}")
    return None


def _fault_of_gateway(time: datetime, gateway_id: str, registry: Registry) -> Refused | None:
    """What a gateway heard while it was in use is good, however late it arrives or is replayed."""
    disabled_at = registry.disabled_gateways.get(gateway_id)
    if disabled_at is not None and time - disabled_at > FUTURE_TOLERANCE:
        return Refused(
            Reason.GATEWAY_DISABLED,
            f"{gateway_id!r} was disabled at {disabled_at.isoformat()}, more than an hour before {time.isoformat()}",
        )
    return None


def _fault_of_extras(reading: SentReading) -> Refused | None:
    rssi, battery = reading.rssi_dbm, reading.battery_level_pct
    if rssi is not None and not RSSI_DBM[0] <= rssi <= RSSI_DBM[1]:
        return Refused(Reason.INVALID_RSSI, f"rssi_dbm {rssi:g} is outside {RSSI_DBM[0]:g} to {RSSI_DBM[1]:g}")
    if battery is not None and not BATTERY_LEVEL_PCT[0] <= battery <= BATTERY_LEVEL_PCT[1]:
        return Refused(Reason.INVALID_BATTERY_LEVEL, f"battery_level_pct {battery:g} is outside 0 to 100")
    return None
