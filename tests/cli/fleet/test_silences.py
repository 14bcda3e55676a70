"""Who falls silent in a fleet is said by id, serial or number."""

import math
from datetime import UTC, datetime

import pytest

from cli.fleet.consumption import DAY_S
from cli.fleet.silences import Silence, parse_silence, silence_gateways, silence_meters
from tests.cli.fleet.fleets import LAYOUT, NOW


@pytest.mark.parametrize(
    ("text", "silence"),
    [
        ("FLEET-0002", Silence("FLEET-0002", -math.inf)),
        ("3@2d", Silence("3", NOW - 2 * DAY_S)),
        ("2/17@2026-10-01T00:00:00+02:00", Silence("2/17", datetime(2026, 9, 30, 22, tzinfo=UTC).timestamp())),
        ("3@2026-10-01", Silence("3", datetime(2026, 10, 1, tzinfo=UTC).timestamp())),
    ],
)
def test_a_silence_is_written_as_who_and_when(text: str, silence: Silence) -> None:
    assert parse_silence(text, now=datetime.fromtimestamp(NOW, UTC)) == silence


@pytest.mark.parametrize("text", ["", "@2d", "3@", "3@later", "3@2026-10-01T00:00:00"])
def test_a_silence_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is no time|has no offset"):
        parse_silence(text, now=datetime.fromtimestamp(NOW, UTC))


def test_gateways_and_meters_are_named_by_id_serial_or_number() -> None:
    plates = LAYOUT.plates()
    serial = plates["FLEET-0002"][4].serial
    assert silence_gateways(plates, [Silence("2", 5.0), Silence("FLEET-0003", 6.0), Silence("2", 4.0)]) == {
        "FLEET-0002": 4.0,
        "FLEET-0003": 6.0,
    }
    assert silence_meters(plates, [Silence("2/5", 7.0)]) == {serial: 7.0}
    assert silence_meters(plates, [Silence(serial, 8.0)]) == {serial: 8.0}


@pytest.mark.parametrize("who", ["0", "4", "FLEET-0009", "٣"])
def test_a_gateway_that_the_fleet_does_not_have_is_refused(who: str) -> None:
    with pytest.raises(ValueError, match="the fleet has no gateway"):
        silence_gateways(LAYOUT.plates(), [Silence(who, 0.0)])


@pytest.mark.parametrize("who", ["77", "2/0", "2/13", "9/1", "2/"])
def test_a_meter_that_the_fleet_does_not_have_is_refused(who: str) -> None:
    with pytest.raises(ValueError, match=r"no meter|has 12 meters|no gateway"):
        silence_meters(LAYOUT.plates(), [Silence(who, 0.0)])
