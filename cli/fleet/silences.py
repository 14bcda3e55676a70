"""Who falls silent in a fleet, and when: `FLEET-0003`, `3@2d`, `2/17@2026-11-01T00:00:00Z`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cli.fleet.meters import MeterPlate
from shared.counted import counted
from shared.registry.cells import moment
from shared.registry.durations import parse_duration

Plates = Mapping[str, Sequence[MeterPlate]]
"""The meters of each gateway."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Somebody of the fleet is not heard from `since` on (seconds since 1970; minus infinity: never heard)."""

    who: str
    since: float


def parse_silence(text: str, *, now: datetime) -> Silence:
    """Read `WHO` or `WHO@WHEN`, where WHEN is a time with its offset, or how long ago; `ValueError` when it is none."""
    who, at, when = text.partition("@")
    if not who or (at and not when):
        raise ValueError("must be WHO or WHO@WHEN, such as 3@2d")
    if not at:
        return Silence(who, -math.inf)
    if when[0].isdigit() and "-" not in when:
        return Silence(who, (now - parse_duration(when)).timestamp())
    since = moment(when)
    if not isinstance(since, datetime):
        since = datetime(since.year, since.month, since.day, tzinfo=UTC)
    return Silence(who, since.timestamp())


def silence_gateways(plates: Plates, silences: Sequence[Silence]) -> dict[str, float]:
    """Until when each gateway is heard, of those that fall silent; named by id or by number, from 1 on."""
    until: dict[str, float] = {}
    for silence in silences:
        gateway_id = _gateway(plates, silence.who)
        until[gateway_id] = min(until.get(gateway_id, math.inf), silence.since)
    return until


def silence_meters(plates: Plates, silences: Sequence[Silence]) -> dict[str, float]:
    """Until when each meter (by serial) is heard, of those that fall silent.

    A meter is named by its serial, or as `GATEWAY/NUMBER`, from 1 on.
    """
    serials = {plate.serial for of_gateway in plates.values() for plate in of_gateway}
    until: dict[str, float] = {}
    for silence in silences:
        serial = silence.who if silence.who in serials else _numbered_meter(plates, silence.who)
        until[serial] = min(until.get(serial, math.inf), silence.since)
    return until


def _gateway(plates: Plates, who: str) -> str:
    if who in plates:
        return who
    if who.isascii() and who.isdecimal() and 1 <= int(who) <= len(plates):
        return list(plates)[int(who) - 1]
    raise ValueError(f"the fleet has no gateway {who!r}; it has {len(plates)}, such as {next(iter(plates))!r}")


def _numbered_meter(plates: Plates, who: str) -> str:
    gateway, slash, number = who.rpartition("/")
    if not slash:
        raise ValueError(f"the fleet has no meter with the serial {who!r}")
    of_gateway = plates[_gateway(plates, gateway)]
    if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= len(of_gateway)):
        raise ValueError(f"the gateway of {who!r} has {counted(len(of_gateway), 'meter')}")
    return of_gateway[int(number) - 1].serial
