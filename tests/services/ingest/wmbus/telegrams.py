"""Telegrams as wmbusmeters writes them, for every medium; made up from its documentation, numbers and names its own."""

from datetime import UTC, datetime

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def telegram(media: str, meter: str, **fields: object) -> dict[str, object]:
    """A telegram with what every one has; a field that is given as `...` is left out."""
    common: dict[str, object] = {"_": "telegram", "media": media, "meter": meter, "name": "Kælder", "id": "70000000"}
    behind: dict[str, object] = {"timestamp": "2026-03-01T12:00:00Z", "device": "rtlwmbus[00000001]", "rssi_dbm": -71}
    return {name: value for name, value in (common | behind | fields).items() if value is not ...}


HEAT = telegram(
    "heat",
    "kamheat",
    forward_energy_m3c=894171,
    on_time_h=17232,
    power_kw=5.6,
    status="OK",
    t1_temperature_c=78.42,
    target_date="2026-03-01",
    target_energy_kwh=44000.5,
    total_energy_consumption_kwh=44922.222222,
    total_volume_m3=13239.62,
    volume_flow_m3h=0.098,
)
HEAT_AND_COOLING = telegram(
    "heat/cooling load",
    "hydrocalm4",
    device_datetime="2026-03-01 13:00",
    power_kw=3e-06,
    total_cooling_kwh=0.005,
    total_cooling_m3=0.004,
    total_heating_kwh=938.384667,
    total_heating_m3=58.409,
)
COOLING = telegram(
    "cooling load volume at outlet",
    "kamheat",
    max_power_kw=-2.5,
    target_energy_kwh=239.722222,
    total_energy_consumption_kwh=723.611111,
    total_volume_m3=364.75,
)
COLD_WATER = telegram(
    "cold water",
    "kamwater",
    current_status="DRY",
    external_temperature_c=19,
    flow_temperature_c=127,
    status="DRY",
    target_m3=6.1,
    time_dry="22-31 days",
    time_leaking="",
    total_m3=6.408,
)
WARM_WATER = telegram(
    "warm water", "supercom587", software_version="010002", status="OK", target_date="2000-00-00", total_m3=5.548
)
WATER = telegram(
    "water",
    "hydrus",
    remaining_battery_life_y=13.686797,
    status="LEAK_FLOW_HIGH PERMANENT_ERROR UNKNOWN_40",
    total_at_date_m3=0.2,
    total_backward_m3=-0.001,
    total_m3=1.174,
    at_datetime="2127-15-31 23:59",
)
ELECTRICITY = telegram(
    "electricity",
    "amiplus",
    current_power_consumption_kw=0.33,
    device_date_time="1999-11-30 12:57:00",
    total_energy_consumption_kwh=15694.05,
    total_energy_consumption_tariff_1_kwh=15000,
    total_energy_production_kwh=7.48,
    voltage_at_phase_1_v=236,
)
GAS = telegram("gas", "elster", actuality_duration_s=742, battery_y=10.4, status="OK", total_m3=3223.47)
HEAT_COST_ALLOCATOR = telegram(
    "heat cost allocation",
    "qcaloric",
    consumption_at_set_date_1_hca=145,
    consumption_at_set_date_hca=145,
    current_consumption_hca=127,
    device_date_time="2026-02-20 11:32",
    error_date="2127-15-31",
    set_date="2025-12-31",
    status="OK",
)
SMOKE_DETECTOR = telegram(
    "smoke detector", "ei6500", alarm_counter=0, battery_level="3.00V", last_alarm_date="2000-01-01", status="OK"
)
