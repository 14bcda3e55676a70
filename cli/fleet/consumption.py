"""How much of each medium a building uses: over the year, over the day, and never the same twice.

Consumption is a function of time alone. A meter's counter can thus be read at any moment, in any order and in any
run, and it never falls.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

from shared.models import Medium, UnitOfMeasure

DAY_S = 86_400
HOUR_S = 3_600
FIRST_DAY = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) // DAY_S
"""Counters are summed up from here; what was installed earlier begins here too."""

DAY_SHAPES = 32
"""Different days of the same kind: when in the day the consumption falls."""

FLAT_YEAR = (1.03, 1.03, 1.02, 1.0, 1.0, 0.98, 0.86, 0.98, 1.01, 1.02, 1.03, 1.04)
HEATING_YEAR = (2.0, 1.9, 1.55, 0.95, 0.35, 0.06, 0.03, 0.05, 0.35, 1.0, 1.6, 1.95)
COOLING_YEAR = (0.02, 0.02, 0.05, 0.3, 1.1, 2.2, 3.2, 2.9, 1.3, 0.25, 0.05, 0.02)

WAKING_DAY = (1, 1, 1, 1, 1, 4, 16, 20, 12, 7, 6, 6, 8, 7, 6, 7, 10, 15, 18, 16, 12, 9, 6, 3)
ELECTRIC_DAY = (5, 4, 4, 4, 4, 5, 8, 10, 8, 7, 7, 8, 9, 8, 8, 9, 12, 18, 20, 18, 15, 12, 9, 7)
HEATING_DAY = (8, 8, 8, 8, 9, 12, 14, 13, 11, 10, 9, 8, 8, 8, 8, 9, 10, 12, 12, 12, 11, 10, 9, 8)
COOLING_DAY = (2, 2, 2, 2, 2, 2, 3, 4, 6, 8, 11, 13, 15, 16, 16, 15, 14, 12, 9, 7, 5, 4, 3, 2)


@dataclass(frozen=True, slots=True)
class Habit:
    """How a medium is used. `per_year` is the least and the most that a meter counts in a year, in `unit`."""

    unit: UnitOfMeasure
    per_year: tuple[float, float]
    months: tuple[float, ...]
    hours: tuple[float, ...]
    unevenness: float
    """0: every day alike; 1: hours and days differ wildly, as where a tap is either open or shut."""


HABITS: dict[Medium, Habit] = {
    Medium.HEAT: Habit(UnitOfMeasure.KWH, (3_000, 14_000), HEATING_YEAR, HEATING_DAY, 0.3),
    Medium.COOLING: Habit(UnitOfMeasure.KWH, (400, 3_000), COOLING_YEAR, COOLING_DAY, 0.4),
    Medium.COLD_WATER: Habit(UnitOfMeasure.CUBIC_METRE, (25, 120), FLAT_YEAR, WAKING_DAY, 0.9),
    Medium.WARM_WATER: Habit(UnitOfMeasure.CUBIC_METRE, (10, 50), FLAT_YEAR, WAKING_DAY, 0.9),
    Medium.WATER: Habit(UnitOfMeasure.CUBIC_METRE, (40, 160), FLAT_YEAR, WAKING_DAY, 0.9),
    Medium.ELECTRICITY: Habit(UnitOfMeasure.KWH, (1_200, 4_500), FLAT_YEAR, ELECTRIC_DAY, 0.5),
    Medium.GAS: Habit(UnitOfMeasure.CUBIC_METRE, (300, 1_600), HEATING_YEAR, HEATING_DAY, 0.4),
    Medium.HEAT_COST_ALLOCATOR: Habit(UnitOfMeasure.HCA, (300, 2_500), HEATING_YEAR, HEATING_DAY, 0.4),
}


class Consumption:
    """The share of a year's amount of one medium that has been used up to a moment, in one kind of household.

    Days are counted from 1970; `day_shape` chooses among the ways in which a day's amount falls into its hours.
    """

    def __init__(self, medium: Medium, *, seed: int, household: int) -> None:
        habit = HABITS[medium]
        self._random = random.Random(f"{seed}/{medium}/{household}")  # noqa: S311 - consumption is no secret
        self._months = tuple(month / sum(habit.months) * 12 / 365.25 for month in habit.months)
        self._unevenness = habit.unevenness
        self.shapes = tuple(self._shape(habit.hours) for _ in range(DAY_SHAPES))
        self._until = [0.0]

    def until_day(self, day: int) -> float:
        """The share that has been used when `day` begins."""
        index = max(0, day - FIRST_DAY)
        while len(self._until) <= index:
            self._until.append(self._until[-1] + self._of_day(FIRST_DAY + len(self._until) - 1))
        return self._until[index]

    def until(self, second: int, *, day_shape: int) -> float:
        """The share that has been used at `second`, counted from 1970."""
        day, of_day = divmod(second, DAY_S)
        begin = self.until_day(day)
        return begin + (self.until_day(day + 1) - begin) * share_of_day(self.shapes[day_shape], of_day)

    def _of_day(self, day: int) -> float:
        """A day's share: that of its time of year, with weather and habits of its own."""
        # Months of equal length are near enough, and their middles are where a month's figure holds.
        position = (day % 365.25) / 365.25 * 12 - 0.5
        earlier, part = int(position // 1), position % 1
        season = self._months[earlier % 12] * (1 - part) + self._months[(earlier + 1) % 12] * part
        return season * (1 + self._unevenness * self._random.uniform(-0.6, 0.6))

    def _shape(self, hours: tuple[float, ...]) -> tuple[float, ...]:
        """How much of a day's amount is used when each hour begins, from 0 to 1."""
        uneven = self._unevenness
        weights = [hour * (1 - uneven + uneven * 3 * self._random.random() ** 2) for hour in hours]
        total = sum(weights)
        return (0.0, *(part / total for part in accumulate(weights)))


def share_of_day(shape: tuple[float, ...], second_of_day: int) -> float:
    """How much of a day's amount is used at a second of it."""
    hour, second = divmod(second_of_day, HOUR_S)
    begin = shape[hour]
    return begin + (shape[hour + 1] - begin) * (second / HOUR_S)
