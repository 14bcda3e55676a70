"""Simulated meters: counters rise with the seasons and never fall, and everything else is plausible."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from cli.fleet.consumption import DAY_S, HABITS, Consumption
from cli.fleet.gateways import Gateway, Ticks
from cli.fleet.layout import Layout
from shared.models import Medium, UnitOfMeasure
from shared.registry.media import FITTING
from tests.cli.fleet.fleets import INSTALLED, NOW, WEEK, fleet, gateway


def values(of: Gateway, ticks: Ticks) -> list[float]:
    return [reading.value for reading in of.readings(ticks, range(ticks.count))]


@pytest.mark.parametrize("medium", list(Medium))
@pytest.mark.parametrize("step_s", [900, 3_600, 4 * 3_600])
def test_a_counter_of_every_medium_rises_and_never_falls(medium: Medium, step_s: int) -> None:
    year = Ticks(NOW - 365 * DAY_S, step_s, 365 * DAY_S // step_s)
    shown = values(gateway(medium), year)
    assert len(shown) == year.count
    assert shown[0] >= 0
    assert all(before <= after for before, after in pairwise(shown))
    least, most = HABITS[medium].per_year
    assert 0.7 * least <= shown[-1] - shown[0] <= 1.3 * most


def test_a_counter_begins_near_zero_when_the_meter_is_installed() -> None:
    (first, *_) = values(gateway(), Ticks(INSTALLED, 3_600, 24))
    assert 0 <= first < 1


def test_heat_is_used_in_winter_and_cold_in_summer() -> None:
    def used(medium: Medium, month: int) -> float:
        begin = int(datetime(2026, month, 1, tzinfo=UTC).timestamp())
        shown = values(gateway(medium), Ticks(begin, DAY_S, 28))
        return shown[-1] - shown[0]

    assert used(Medium.HEAT, 1) > 10 * used(Medium.HEAT, 7)
    assert used(Medium.COOLING, 7) > 10 * used(Medium.COOLING, 1)
    assert used(Medium.COLD_WATER, 1) < 2 * used(Medium.COLD_WATER, 7)


def test_more_water_is_used_in_the_morning_than_at_night() -> None:
    water = Consumption(Medium.COLD_WATER, seed=1, household=0)
    shapes = water.shapes
    night = sum(shape[4] - shape[1] for shape in shapes)
    morning = sum(shape[9] - shape[6] for shape in shapes)
    assert morning > 5 * night


@pytest.mark.parametrize(
    ("medium", "unit"), [(medium, unit) for medium, fitting in FITTING.items() for unit in fitting]
)
def test_every_unit_that_fits_a_medium_is_shown_with_its_decimals(medium: Medium, unit: UnitOfMeasure) -> None:
    shown = values(gateway(medium, unit), WEEK)
    decimals = {"Wh": 0, "kWh": 1, "MWh": 3, "GJ": 3, "l": 0, "m3": 3, "hca": 0}[unit]
    assert all(round(value, decimals) == value for value in shown)


def test_a_meter_shows_the_same_in_whatever_order_it_is_read() -> None:
    of = gateway()
    forward = values(of, WEEK)
    backward = [of.readings(WEEK, range(n, n + 1))[0].value for n in reversed(range(WEEK.count))]
    assert backward[::-1] == forward


def test_signal_and_battery_are_plausible_and_some_meters_tell_neither() -> None:
    many = fleet(Layout("fleet", gateways=1, meters=300, seed=1))[0]
    readings = many.readings(Ticks(NOW, 3_600, 1), range(300))
    signals = [reading.rssi_dbm for reading in readings]
    batteries = [reading.battery_level_pct for reading in readings]
    assert None in signals
    assert None in batteries
    assert all(-110 < signal < -30 for signal in signals if signal is not None)
    assert all(0 < battery <= 100 for battery in batteries if battery is not None)


def test_a_meter_is_heard_from_its_installation_until_it_falls_silent() -> None:
    around = Ticks(INSTALLED - 3_600, 3_600, 10)
    times = [
        reading.timestamp.timestamp() for reading in gateway(heard_until=INSTALLED + 7_200).readings(around, range(10))
    ]
    assert times == [INSTALLED, INSTALLED + 3_600]
