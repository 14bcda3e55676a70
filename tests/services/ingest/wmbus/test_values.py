"""Which field of a telegram is the reading, for every medium."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.reasons import Reason, Refused
from services.ingest.wmbus.values import (
    COOLING_METER_FIELDS,
    MAX_NAMES,
    VALUE_FIELDS,
    Metering,
    battery_of,
    rssi_of,
    value_of,
)
from shared.models import Medium, UnitOfMeasure
from shared.registry.media import FITTING
from tests.services.ingest.wmbus import telegrams as sent

KWH, MWH, GJ = UnitOfMeasure.KWH, UnitOfMeasure.MWH, UnitOfMeasure.GJ
M3, LITRE, HCA = UnitOfMeasure.CUBIC_METRE, UnitOfMeasure.LITRE, UnitOfMeasure.HCA

Fields = dict[str, object]

DOCUMENTATION = Path(__file__).parents[4] / "docs" / "wmbusmeters.md"


def value(fields: Fields, medium: Medium, unit: UnitOfMeasure, value_field: str | None = None) -> float | str:
    """The reading, or why there is none."""
    found = value_of(fields, Metering(medium, unit, value_field))
    if isinstance(found, Refused):
        assert found.reason is Reason.NO_USABLE_VALUE
        return found.detail
    return found


@pytest.mark.parametrize(
    ("fields", "medium", "unit", "expected"),
    [
        (sent.HEAT, Medium.HEAT, KWH, 44922.222222),
        (sent.HEAT, Medium.HEAT, GJ, 161.7199999992),
        (sent.HEAT_AND_COOLING, Medium.HEAT, KWH, 938.384667),
        (sent.HEAT_AND_COOLING, Medium.COOLING, UnitOfMeasure.WH, 5.0),
        (sent.COOLING, Medium.COOLING, MWH, 0.723611111),
        (sent.COLD_WATER, Medium.COLD_WATER, M3, 6.408),
        (sent.COLD_WATER, Medium.WATER, LITRE, 6408.0),
        (sent.WARM_WATER, Medium.WARM_WATER, LITRE, 5548.0),
        (sent.WATER, Medium.WATER, M3, 1.174),
        (sent.ELECTRICITY, Medium.ELECTRICITY, KWH, 15694.05),
        (sent.GAS, Medium.GAS, M3, 3223.47),
        (sent.HEAT_COST_ALLOCATOR, Medium.HEAT_COST_ALLOCATOR, HCA, 127.0),
    ],
)
def test_each_medium_has_its_field_in_the_installations_unit(
    fields: Fields, medium: Medium, unit: UnitOfMeasure, expected: float
) -> None:
    assert value(fields, medium, unit) == expected


@pytest.mark.parametrize(
    ("fields", "medium", "expected"),
    [
        ({"heat_kwh": 8974.4, "volume_m3": 1995.07}, Medium.HEAT, 8974.4),
        ({"total_heat_energy_kwh": 0, "total_cooling_energy_kwh": 220}, Medium.COOLING, 220.0),
        ({"total_energy_kwh": 144, "total_energy_cooling_kwh": 1}, Medium.COOLING, 1.0),
        ({"total_energy_kwh": 144, "total_energy_cooling_kwh": 1}, Medium.HEAT, 144.0),
        ({"total_kwh": 6371.6, "current_kwh": 2729.4, "previous_kwh": 3642.2}, Medium.HEAT, 6371.6),
        ({"total_kwh": 19529, "total_m3": 8401.224, "last_year_kwh": 13978}, Medium.HEAT, 19529.0),
        ({"total_energy_consumption_mj": 36}, Medium.HEAT, 10.0),
        ({"total_mj": 36, "total_kwh": 11}, Medium.HEAT, 11.0),
        ({"total_kwh": 1471.1, "a_counter": 4711}, Medium.ELECTRICITY, 1471.1),
    ],
)
def test_the_names_of_other_drivers_are_known(fields: Fields, medium: Medium, expected: float) -> None:
    assert value(fields, medium, KWH) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"current_hca": 131, "previous_hca": 1026}, 131.0), ({"consumption_hca": 859, "target_hca": 2264}, 859.0)],
)
def test_so_are_those_of_heat_cost_allocators(fields: Fields, expected: float) -> None:
    assert value(fields, Medium.HEAT_COST_ALLOCATOR, HCA) == expected


@pytest.mark.parametrize("medium", Medium, ids=str)
def test_what_was_so_on_another_date_never_counts(medium: Medium) -> None:
    units = [unit.lower() for unit in UnitOfMeasure]
    names = ["target", "target_energy", "total_at_date", "consumption_at_set_date", "consumption_at_set_date_1"]
    names += ["total_energy_consumption_at_date", "last_month_total", "previous", "last_year", "forward_at_set_date"]
    names += ["total_tariff1", "total_backward", "total_energy_production", "set_date_1", "total_volume_subunit1"]
    fields: Fields = {f"{name}_{unit}": 1.0 for name in names for unit in units} | {"media": "cooling load"}
    for unit in FITTING[medium]:
        assert str(value(fields, medium, unit)).startswith(f"no field for {medium} in {unit}; the telegram has target_")


def test_a_meter_of_heat_and_cooling_gives_no_heat_as_cooling() -> None:
    fields: Fields = {"media": "heat/cooling load", "total_energy_consumption_kwh": 154}
    assert "no field for cooling" in str(value(fields, Medium.COOLING, KWH))


def test_the_documentation_lists_the_fields_of_every_medium_in_their_order() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (`.+) \|$", DOCUMENTATION.read_text(), re.MULTILINE)
    listed = {medium: re.findall(r"`(\w+)`", fields) for media, fields in rows for medium in re.findall(r"\w+", media)}
    for medium in Medium:
        more = ["cooling", *COOLING_METER_FIELDS] if medium is Medium.COOLING else []
        assert [name for name in listed[medium] if name != "media"] == [*VALUE_FIELDS[medium], *more]


@pytest.mark.parametrize("medium", Medium, ids=str)
def test_every_medium_has_fields_of_its_own(medium: Medium) -> None:
    assert VALUE_FIELDS[medium]
    (first, *_), unit = VALUE_FIELDS[medium], FITTING[medium][0]
    assert value({f"{first}_{unit.lower()}": 7}, medium, unit) == 7.0


@pytest.mark.parametrize(
    "odd", [None, "5.548", True, math.nan, math.inf, -math.inf, 10**399, [1], {"value": 1}, 1.7e308], ids=repr
)
def test_a_field_that_is_no_number_is_named_and_no_other_takes_its_place(odd: object) -> None:
    why = str(value({"total_m3": odd, "total_volume_m3": 3.0}, Medium.WATER, LITRE))
    assert why.startswith("total_m3 ")
    assert why.endswith("; the telegram has total_m3, total_volume_m3")


def test_of_one_field_in_two_units_the_one_with_a_value_counts() -> None:
    assert value({"total_m3": None, "total_l": 3.0}, Medium.WATER, M3) == 0.003


@pytest.mark.parametrize(
    ("field", "unit", "expected"),
    [
        ("target_volume_m3", M3, 13239.62),
        ("target_volume_m3", LITRE, 13239620.0),
        ("a_counter", LITRE, 4711.0),
        ("pulses", M3, 12.5),
        ("pulses", LITRE, 12.5),
        ("power_kw", M3, "power_kw: kw does not convert to m3; the telegram has "),
        ("total_mj", M3, "total_mj: mj does not convert to m3; the telegram has "),
        ("total_l", M3, "no total_l, which is the installation's value_field; the telegram has "),
        ("name", M3, "name is no finite number: 'Vand'; the telegram has "),
    ],
)
def test_the_installation_may_name_the_field(field: str, unit: UnitOfMeasure, expected: float | str) -> None:
    fields: Fields = {"target_volume_m3": 13239.62, "total_m3": 1, "a_counter": 4711, "pulses": 12.5, "name": "Vand"}
    found = value(fields | {"power_kw": 1, "total_mj": 2}, Medium.WATER, unit, field)
    assert found == expected or (isinstance(expected, str) and str(found).startswith(expected))


def test_a_telegram_with_nothing_in_it_says_so() -> None:
    why = value({"id": "1", "media": "gas", "meter": "x", "timestamp": ""}, Medium.GAS, M3)
    assert why == "no field for gas in m3; the telegram has no fields"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
names = st.text(st.characters(exclude_categories=())) | st.sampled_from(["total_m3", "total_l", "battery_pct"])


@given(
    fields=st.dictionaries(names, json_values, max_size=40),
    medium=st.sampled_from(Medium),
    value_field=st.none() | st.sampled_from(["total_m3", "x"]),
    which=st.integers(0, 3),
)
def test_any_telegram_is_a_finite_number_or_a_short_printable_reason(
    fields: Fields, medium: Medium, value_field: str | None, which: int
) -> None:
    units = FITTING[medium]
    found = value_of(fields, Metering(medium, units[which % len(units)], value_field))
    if isinstance(found, Refused):
        assert len(found.detail) < MAX_NAMES + 300
        assert "\x00" not in found.detail
        found.detail.encode()
    else:
        assert math.isfinite(found)


@pytest.mark.parametrize(
    ("rssi", "expected"),
    [(-71, -71), (0, 0), (999, None), (-200.5, None), ("-71", None), (None, None), (math.nan, None), (True, None)],
)
def test_an_odd_signal_strength_is_left_away(rssi: object, expected: float | None) -> None:
    assert rssi_of({"rssi_dbm": rssi}) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"battery_level_pct": 96}, 96),
        ({"battery_pct": 12.5}, 12.5),
        ({"remaining_battery_pct": 0}, 0),
        ({"battery_level_pct": 255, "battery_pct": 50}, 50),
        ({"battery_v": 3.31, "battery_y": 15.3, "remaining_battery_life_y": 0.5, "battery_level": "3.00V"}, None),
        ({"battery": "BATTERY_330", "battery_pct": "96"}, None),
        ({}, None),
    ],
)
def test_only_a_percentage_is_a_battery_level(fields: Fields, expected: float | None) -> None:
    assert battery_of(fields) == expected
