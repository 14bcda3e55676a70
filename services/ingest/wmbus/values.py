"""Which field of a telegram is the reading: by the medium of the installation, or as the installation says."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from services.ingest.fields import is_number, shown
from services.ingest.reasons import Reason, Refused
from services.ingest.verdicts import BATTERY_LEVEL_PCT, RSSI_DBM
from shared.models import Medium, UnitOfMeasure
from shared.units import convert, unit_of_field, units_like

Fields = Mapping[str, object]

VALUE_FIELDS: Mapping[Medium, tuple[str, ...]] = {
    Medium.HEAT: ("total_energy_consumption", "total_heating", "total_energy", "total_heat_energy", "heat", "total"),
    Medium.COOLING: ("total_cooling_consumption", "total_cooling_energy", "total_energy_cooling", "total_cooling"),
    Medium.COLD_WATER: ("total", "total_water", "total_volume"),
    Medium.WARM_WATER: ("total", "total_water", "total_volume"),
    Medium.WATER: ("total", "total_water", "total_volume"),
    Medium.ELECTRICITY: ("total_energy_consumption", "total", "total_energy"),
    Medium.GAS: ("total", "total_volume", "total_energy_consumption"),
    Medium.HEAT_COST_ALLOCATOR: ("current_consumption", "consumption", "current"),
}
"""Names without their unit, the first that a telegram has counts. All are registers that count on from the meter's
mounting (a heat cost allocator's from its set date); what they were on some other date has other names, which so never
count: `target_m3`, `total_at_date_m3`, `consumption_at_set_date_hca`, `previous_kwh`."""

COOLING_METER_FIELDS = ("total_energy_consumption", "total_energy", "total")
"""What a meter that measures nothing but cooling calls its register, and one that measures both, that of its heat."""

SURROUNDINGS = frozenset({"_", "media", "meter", "name", "id", "timestamp", "device", "rssi_dbm"})
"""Fields of every telegram, which say nothing of what is measured."""

BATTERY_PERCENTAGE = re.compile(r"(remaining_)?battery\w*_pct")
"""`battery_v` and `remaining_battery_life_y` are no percentages."""

MAX_NAMES = 400
"""Characters. Some drivers write a hundred fields."""


class Metering(NamedTuple):
    """What an installation counts, and in which field its meter says it, where that is not the medium's usual one."""

    medium: Medium
    unit_of_measure: UnitOfMeasure
    value_field: str | None


def value_of(fields: Fields, metering: Metering) -> float | Refused:
    """The reading in the installation's unit of measure, or why the telegram says none."""
    name = metering.value_field or _usual_field(fields, metering)
    if name is None:
        return _unusable(f"no field for {metering.medium} in {metering.unit_of_measure}", fields)
    if name not in fields:
        return _unusable(f"no {name}, which is the installation's value_field", fields)
    value = fields[name]
    # Text is what somebody wrote into the configuration of wmbusmeters; the meter's own numbers are numbers.
    if not isinstance(value, int | float) or not is_number(value):
        return _unusable(f"{name} is no finite number: {shown(value)}", fields)
    try:
        converted = convert(value, unit_of_field(name) or metering.unit_of_measure, metering.unit_of_measure)
    except ValueError as error:
        return _unusable(f"{name}: {error}", fields)
    return converted if math.isfinite(converted) else _unusable(f"{name} exceeds every number", fields)


def rssi_of(fields: Fields) -> float | None:
    """`rssi_dbm` where it can be one: wmbusmeters writes 999 for a receiver that does not measure it."""
    return _within(fields.get("rssi_dbm"), RSSI_DBM)


def battery_of(fields: Fields) -> float | None:
    """The battery's charge in percent, for the few meters that send it."""
    levels = (_within(value, BATTERY_LEVEL_PCT) for name, value in fields.items() if BATTERY_PERCENTAGE.fullmatch(name))
    return next((level for level in levels if level is not None), None)


def _usual_field(fields: Fields, metering: Metering) -> str | None:
    """The first field for the medium, in any unit that converts.

    The first that is there decides, also where it is null: the next could be another register of the same meter.
    """
    units = units_like(metering.unit_of_measure)
    for name in _usual_names(fields, metering.medium):
        there = [field for field in (f"{name}_{unit}" for unit in units) if field in fields]
        if there:
            return next((field for field in there if is_number(fields[field])), there[0])
    return None


def _usual_names(fields: Fields, medium: Medium) -> Iterator[str]:
    yield from VALUE_FIELDS[medium]
    media = fields.get("media")
    if medium is Medium.COOLING and isinstance(media, str) and media.startswith("cooling"):
        yield from COOLING_METER_FIELDS


def _within(value: object, bounds: tuple[float, float]) -> float | None:
    """An odd signal strength or battery level is left away rather than costing the reading: no sender can mend it."""
    if not isinstance(value, int | float) or not is_number(value):
        return None
    return value if bounds[0] <= value <= bounds[1] else None


def _unusable(why: str, fields: Fields) -> Refused:
    names = ", ".join(name if name.isascii() and name.isprintable() else shown(name) for name in _measured(fields))
    if len(names) > MAX_NAMES:
        names = f"{names[:MAX_NAMES]}…"
    return Refused(Reason.NO_USABLE_VALUE, f"{why}; the telegram has {names or 'no fields'}")


def _measured(fields: Fields) -> Iterator[str]:
    return (name for name in fields if name not in SURROUNDINGS)
