"""Simulated meters: what each shows, how well it is heard, and how full its battery is."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple
from uuid import UUID

from cli.fleet.consumption import DAY_S, DAY_SHAPES, HABITS, Consumption
from shared.models import Medium, UnitOfMeasure

HOUSEHOLDS = 8
"""Kinds of household for each medium, which differ in the days on which they use more."""

YEAR_S = 365.25 * DAY_S
BATTERY_YEARS = (9.0, 14.0)
RSSI_DBM = (-92, -48)
SHARE_WITHOUT = 0.1
"""Of meters that run on mains, and of meters whose signal strength is not told."""

KWH_PER_CUBIC_METRE_OF_GAS = 11.0

SCALES: dict[UnitOfMeasure, tuple[float, int]] = {
    UnitOfMeasure.WH: (1_000.0, 0),
    UnitOfMeasure.KWH: (1.0, 1),
    UnitOfMeasure.MWH: (0.001, 3),
    UnitOfMeasure.GJ: (0.0036, 3),
    UnitOfMeasure.LITRE: (1_000.0, 0),
    UnitOfMeasure.CUBIC_METRE: (1.0, 3),
    UnitOfMeasure.HCA: (1.0, 0),
}
"""For each unit how many of it one kWh, m3 or hca is, and with how many decimals a meter shows it."""


@dataclass(frozen=True, slots=True)
class MeterPlate:
    """What stands on a meter and in the registry. `installed_at` is in seconds since 1970."""

    installation_id: UUID
    serial: str
    medium: Medium
    unit_of_measure: UnitOfMeasure
    installed_at: int


class MeterDay(NamedTuple):
    """A meter on one day: its counter is `(base + used * share of the day) / power`, without what comes after."""

    plate: MeterPlate
    heard_from: int
    heard_until: float
    base: float
    used: float
    power: int
    shape: tuple[float, ...]
    rssi_dbm: int | None
    battery_level_pct: int | None
    salt: int


class Meter:
    """A meter with a life of its own, the same in every run with the same seed.

    `heard_until` is when it falls silent, in seconds since 1970; infinity where it does not.
    """

    def __init__(
        self,
        plate: MeterPlate,
        *,
        seed: int,
        consumption: Callable[[Medium, int], Consumption],
        heard_until: float = math.inf,
    ) -> None:
        own = random.Random(f"{seed}/{plate.serial}")  # noqa: S311 - a simulated meter is no secret
        self.plate = plate
        self.heard_until = heard_until
        self._salt = own.randrange(1 << 16)
        self._consumption = consumption(plate.medium, own.randrange(HOUSEHOLDS))
        scale, decimals = _scale(plate)
        self._power = 10**decimals
        self._a_year = own.uniform(*HABITS[plate.medium].per_year) * scale * self._power
        self._at_installation = self._consumption.until(
            plate.installed_at, day_shape=self._shape_of(plate.installed_at // DAY_S)
        )
        on_mains = plate.medium == Medium.ELECTRICITY or own.random() < SHARE_WITHOUT
        self._battery_s = None if on_mains else own.uniform(*BATTERY_YEARS) * YEAR_S
        self._rssi_dbm = None if own.random() < SHARE_WITHOUT else own.randint(*RSSI_DBM)

    def day(self, day: int) -> MeterDay:
        """What it does on a day, counted from 1970."""
        begin, end = self._consumption.until_day(day), self._consumption.until_day(day + 1)
        return MeterDay(
            self.plate,
            self.plate.installed_at,
            self.heard_until,
            self._a_year * (begin - self._at_installation),
            self._a_year * (end - begin),
            self._power,
            self._consumption.shapes[self._shape_of(day)],
            self._rssi_dbm,
            self._battery(day),
            self._salt,
        )

    def _shape_of(self, day: int) -> int:
        return (day * 7_919 + self._salt) % DAY_SHAPES

    def _battery(self, day: int) -> int | None:
        """Falls from 100 as the years go; an empty one is exchanged."""
        if self._battery_s is None:
            return None
        age_s = max(0, day * DAY_S - self.plate.installed_at) % self._battery_s
        return round(100 - 95 * age_s / self._battery_s)


def consumption_of(seed: int) -> Callable[[Medium, int], Consumption]:
    """Where the meters of a fleet find how their medium is used: each kind of household is made once."""

    @cache
    def find(medium: Medium, household: int) -> Consumption:
        return Consumption(medium, seed=seed, household=household)

    return find


def _scale(plate: MeterPlate) -> tuple[float, int]:
    """How many of its unit a meter counts for one of its habit's unit, and its decimals."""
    scale, decimals = SCALES[plate.unit_of_measure]
    if plate.medium == Medium.GAS and plate.unit_of_measure in (UnitOfMeasure.KWH, UnitOfMeasure.MWH):
        scale *= KWH_PER_CUBIC_METRE_OF_GAS
    return scale, decimals
