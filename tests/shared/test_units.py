"""Units at the end of fields' names, and conversion between them."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models import Medium, UnitOfMeasure
from shared.registry.media import FITTING
from shared.units import QUANTITIES, convert, unit_of_field, units_like

ENERGY = ["wh", "kwh", "mwh", "mj", "gj"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("total_m3", "m3"),
        ("total_energy_consumption_kwh", "kwh"),
        ("total_tariff1_MWh", "mwh"),
        ("current_consumption_hca", "hca"),
        ("max_flow_m3h", "m3h"),
        ("remaining_battery_life_y", "y"),
        ("a_counter", None),
        ("total", None),
        ("kwh", None),
        ("_kwh", "kwh"),
        ("", None),
    ],
)
def test_a_fields_name_ends_with_its_unit(name: str, unit: str | None) -> None:
    assert unit_of_field(name) == unit


@pytest.mark.parametrize(
    ("value", "source", "target", "converted"),
    [
        (5.548, "m3", "l", 5548.0),
        (88.1, "kwh", "Wh", 88100.0),
        (44922.222222, "kwh", "MWh", 44.922222222),
        (1, "GJ", "kwh", 277.77777777777777),
        (11925, "kwh", "GJ", 42.93),
        (3.6, "mj", "kWh", 1.0),
        (-0.001, "m3", "l", -1.0),
        (3e-06, "kwh", "Wh", 0.003),
        (10**17, "m3", "m3", 1e17),
        (127, "hca", "hca", 127.0),
    ],
)
def test_a_value_is_converted_without_binary_noise(value: float, source: str, target: str, converted: float) -> None:
    assert convert(value, source, target) == converted


@given(st.floats(-1e12, 1e12), st.sampled_from(ENERGY), st.sampled_from(ENERGY))
def test_a_conversion_is_the_double_that_is_nearest_to_what_was_written(value: float, source: str, target: str) -> None:
    joules = {"wh": 3600, "kwh": 3600 * 10**3, "mwh": 3600 * 10**6, "mj": 10**6, "gj": 10**9}
    exact = Fraction(repr(value)) * joules[source] / joules[target]
    assert convert(value, source, target) == float(exact)


def test_what_exceeds_every_double_is_infinite_and_not_an_error() -> None:
    assert math.isinf(convert(1e308, "m3", "l"))


@pytest.mark.parametrize(("source", "target"), [("m3", "kwh"), ("kwh", "hca"), ("m3h", "m3"), ("kw", "kwh")])
def test_units_of_different_quantities_do_not_convert(source: str, target: str) -> None:
    with pytest.raises(ValueError, match=f"^{source} does not convert to {target}$"):
        convert(1, source, target)


def test_every_unit_that_an_installation_may_count_in_is_known_and_stands_first() -> None:
    for unit in UnitOfMeasure:
        assert units_like(unit)[0] == unit.lower()
    assert units_like("kw") == ()


@pytest.mark.parametrize("medium", Medium, ids=str)
def test_what_fits_a_medium_is_one_of_few_quantities(medium: Medium) -> None:
    quantities = [quantity for quantity in QUANTITIES if any(unit.lower() in quantity for unit in FITTING[medium])]
    assert len(quantities) == (2 if medium is Medium.GAS else 1)
