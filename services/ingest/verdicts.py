"""The verdict on a reading: it belongs to an installation of the sender's tenant, at a time that can be, or why not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from services.ingest.delivery import GatewayDelivery
from services.ingest.fields import no_time, read_id, read_time, shown
from services.ingest.moments import Moments, moment
from services.ingest.payload import SentReading
from services.ingest.reasons import Reason, Refused
from services.ingest.registry import EARLY_TOLERANCE, Installation, Registry
from shared.registry.cells import MAX_SERIAL

FUTURE_TOLERANCE = timedelta(hours=1)
"""A stopped or wild clock must not hold an installation fresh for ever."""

RSSI_DBM = (-200.0, 50.0)
BATTERY_LEVEL_PCT = (0.0, 100.0)


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A reading to store: `at` is its moment (services.ingest.moments), `key` what makes it one reading."""

    key: int
    installation: Installation
    at: int
    value: float
    rssi_dbm: int | None
    battery_level_pct: int | None
    delivery: GatewayDelivery


@dataclass(frozen=True)
class Sender:
    """Who sent a message: the gateway of its routing key, and the one that its body says it is from, if it does."""

    delivery: GatewayDelivery
    claimed_gateway: str | None

    @property
    def gateway_id(self) -> str:
        """The gateway of the routing key."""
        return self.delivery.gateway_id


def judge_usual(
    readings: Sequence[SentReading], sender: Sender, *, registry: Registry, moments: Moments, latest: int
) -> tuple[list[Accepted], list[int]]:
    """Accept the readings with which nothing at all is odd, and say which ones (by number) must be judged with care.

    A message of known meters is done here: this loop decides how fast ingest is. It accepts nothing that `judge`
    would not accept in the same way. `latest` is the last moment that is not in the future.
    """
    delivery = sender.delivery
    gateway_id = delivery.gateway_id
    tenant_id = registry.tenants_of_gateways.get(gateway_id)
    if (
        tenant_id is None
        or sender.claimed_gateway not in {None, gateway_id}
        or gateway_id in registry.disabled_gateways
    ):
        return [], list(range(len(readings)))
    meters = registry.meters_of(tenant_id)
    by_written_id, by_serial = meters.by_written_id, meters.by_serial
    accepted: list[Accepted] = []
    odd: list[int] = []
    for number, reading in enumerate(readings):
        written = reading.installation_id
        if written is not None:
            installation = by_written_id.get(written)
        elif reading.meter_serial is not None and reading.meter_installation_id is None:
            candidates = by_serial.get(reading.meter_serial, ())
            installation = candidates[0] if len(candidates) == 1 else None
        else:
            installation = None
        at = moments[reading.timestamp]
        rssi = reading.rssi_dbm
        battery = reading.battery_level_pct
        if (
            installation is not None
            and installation.earliest <= at <= latest
            and at < installation.until
            and (rssi is None or RSSI_DBM[0] <= rssi <= RSSI_DBM[1])
            and (battery is None or BATTERY_LEVEL_PCT[0] <= battery <= BATTERY_LEVEL_PCT[1])
            and (reading.gateway_id is None or reading.gateway_id == gateway_id)
        ):
            accepted.append(
                Accepted(
                    installation.first_key + at,
                    installation,
                    at,
                    reading.value,
                    None if rssi is None else round(rssi),
                    None if battery is None else round(battery),
                    delivery,
                )
            )
        else:
            odd.append(number)
    return accepted, odd


def judge(reading: SentReading, sender: Sender, *, registry: Registry, now: datetime) -> Accepted | Refused:
    """Decide on one reading; `registry` knows the gateway and the installations that it names, if they are there."""
    time = read_time(reading.timestamp)
    if time is None:
        return no_time(reading.timestamp)
    for claim in (sender.claimed_gateway, reading.gateway_id):
        if claim is not None and claim != sender.gateway_id:
            return gateway_mismatch(sender.gateway_id, claim)
    tenant_id = registry.tenants_of_gateways.get(sender.gateway_id)
    if tenant_id is None:
        return unknown_gateway(sender.gateway_id, time)
    found = _find(reading, time, tenant_id, registry)
    if isinstance(found, Refused):
        return found
    fault = (
        _fault_of_time(reading, time, found, now)
        or _fault_of_gateway(time, sender.gateway_id, registry)
        or _fault_of_extras(reading)
    )
    if fault is not None:
        return fault
    at = moment(time)
    return Accepted(
        found.first_key + at,
        found,
        at,
        reading.value,
        None if reading.rssi_dbm is None else round(reading.rssi_dbm),
        None if reading.battery_level_pct is None else round(reading.battery_level_pct),
        sender.delivery,
    )


def refuse_contradictions(verdicts: Iterable[Accepted | Refused]) -> Iterator[Accepted | Refused]:
    """Refuse what says another value of the same meter and time than a reading before it in the same message.

    Neither was transmitted later, so none corrects the other; that the first is stored is the same each time that the
    message comes.
    """
    values: dict[int, float] = {}
    for verdict in verdicts:
        if isinstance(verdict, Accepted):
            first = values.setdefault(verdict.key, verdict.value)
            if first != verdict.value:
                yield Refused(Reason.CONTRADICTION, f"{verdict.value!r}, and {first!r} earlier in the same message")
                continue
        yield verdict


def written_id(reading: SentReading) -> str | None:
    """The installation's id as the reading has it, under whichever name."""
    return reading.meter_installation_id if reading.installation_id is None else reading.installation_id


def unknown_gateway(gateway_id: str, time: datetime) -> Refused:
    """Refuse what a gateway sent that nobody registered."""
    return _until(gateway_id, time, Refused(Reason.UNKNOWN_GATEWAY, f"no gateway {gateway_id!r} is registered"))


def gateway_mismatch(gateway_id: str, claim: str) -> Refused:
    """Refuse what names another gateway than the one that sent it."""
    return Refused(Reason.GATEWAY_MISMATCH, f"sent by {gateway_id!r}, but claims to be from {claim[:100]!r}")


def unknown_meter(serial: str, time: datetime) -> Refused:
    """Refuse what is from a meter that nobody registered."""
    return _until(serial, time, Refused(Reason.UNKNOWN_INSTALLATION, f"no meter {serial[:100]!r} is registered"))


def _until(awaits: str, time: datetime, refused: Refused) -> Refused:
    """`refused` for as long as the registry is as it is about `awaits`, if it can hold that at all."""
    if not 0 < len(awaits) <= MAX_SERIAL or not awaits.isprintable():
        return refused
    try:
        in_utc = time.astimezone(UTC)
    except OverflowError:  # at an end of the calendar, which UTC does not reach
        in_utc = datetime.min.replace(tzinfo=UTC) if time.year == 1 else datetime.max.replace(tzinfo=UTC)
    return replace(refused, awaits=awaits, timestamp=in_utc)


def _find(reading: SentReading, time: datetime, tenant_id: UUID, registry: Registry) -> Installation | Refused:
    written = written_id(reading)
    if written is not None:
        return _find_by_id(written, time, tenant_id, registry)
    if reading.meter_serial is None:
        return Refused(Reason.NO_INSTALLATION, "neither installation_id nor meter_serial is given")
    candidates = registry.meters_of(tenant_id).by_serial.get(reading.meter_serial, ())
    if not candidates:
        return unknown_meter(reading.meter_serial, time)
    return mounted_at(time, candidates)


def _find_by_id(written: str, time: datetime, tenant_id: UUID, registry: Registry) -> Installation | Refused:
    installation_id = read_id(written)
    if installation_id is None:
        return Refused(Reason.INVALID_INSTALLATION_ID, f"installation_id is no UUID: {shown(written)}")
    installation = registry.by_id.get(installation_id)
    if installation is None:
        refused = Refused(Reason.UNKNOWN_INSTALLATION, f"no installation {installation_id} is registered")
        return _until(str(installation_id), time, refused)
    if installation.tenant_id != tenant_id:
        return Refused(Reason.FOREIGN_INSTALLATION, f"installation {installation_id} is not of the gateway's tenant")
    return installation


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


def _fault_of_time(reading: SentReading, time: datetime, installation: Installation, now: datetime) -> Refused | None:
    # Differences, not sums: a time at the end of the calendar cannot be moved.
    if time - now > FUTURE_TOLERANCE:
        return Refused(Reason.IN_THE_FUTURE, f"{time.isoformat()} is more than an hour ahead of {now.isoformat()}")
    if installation.installed_at - time > EARLY_TOLERANCE:
        why = (
            f"{time.isoformat()} is more than a day before {installation.installed_at.isoformat()}, when the meter"
            " was installed"
        )
        return _until(_name(reading, installation), time, Refused(Reason.BEFORE_INSTALLATION, why))
    if installation.deleted_at is not None and time >= installation.deleted_at:
        why = f"the installation ended at {installation.deleted_at.isoformat()}"
        return _until(_name(reading, installation), time, Refused(Reason.INSTALLATION_DELETED, why))
    return None


def _name(reading: SentReading, installation: Installation) -> str:
    """What a reading calls its installation; ids have several spellings, of which one counts."""
    return str(installation.id) if written_id(reading) is not None else reading.meter_serial or ""


def _fault_of_gateway(time: datetime, gateway_id: str, registry: Registry) -> Refused | None:
    """What a gateway heard while it was in use is good, however late it arrives or is replayed."""
    disabled_at = registry.disabled_gateways.get(gateway_id)
    if disabled_at is not None and time - disabled_at > FUTURE_TOLERANCE:
        why = f"{gateway_id!r} was disabled at {disabled_at.isoformat()}, more than an hour before {time.isoformat()}"
        return _until(gateway_id, time, Refused(Reason.GATEWAY_DISABLED, why))
    return None


def _fault_of_extras(reading: SentReading) -> Refused | None:
    rssi, battery = reading.rssi_dbm, reading.battery_level_pct
    if rssi is not None and not RSSI_DBM[0] <= rssi <= RSSI_DBM[1]:
        return Refused(Reason.INVALID_RSSI, f"rssi_dbm {rssi:g} is outside {RSSI_DBM[0]:g} to {RSSI_DBM[1]:g}")
    if battery is not None and not BATTERY_LEVEL_PCT[0] <= battery <= BATTERY_LEVEL_PCT[1]:
        return Refused(Reason.INVALID_BATTERY_LEVEL, f"battery_level_pct {battery:g} is outside 0 to 100")
    return None
