"""Times, durations, numbers and amounts as people write them, and names as they can be shown."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.mail.danish import DANISH
from services.alerts.mail.english import ENGLISH
from services.alerts.mail.phrasing import NAME_AT_MOST, Phrasing, clip
from shared.models import UnitOfMeasure
from tests.services.alerts.mail.examples import COPENHAGEN, NOON

DANISH_PHRASING = Phrasing(DANISH, COPENHAGEN)
ENGLISH_PHRASING = Phrasing(ENGLISH, COPENHAGEN)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("moment", "danish", "english"),
    [
        ("2026-07-01T22:30:00Z", "2. jul. 2026 00.30", "2 Jul 2026, 00:30"),
        ("2026-11-22T12:00:00Z", "22. nov. 2026 13.00", "22 Nov 2026, 13:00"),
        ("2026-11-22T12:00:00+05:00", "22. nov. 2026 08.00", "22 Nov 2026, 08:00"),
        # The clock goes from two to three.
        ("2026-03-29T00:59:00Z", "29. mar. 2026 01.59", "29 Mar 2026, 01:59"),
        ("2026-03-29T01:00:00Z", "29. mar. 2026 03.00", "29 Mar 2026, 03:00"),
        # It shows the hour from two to three twice.
        ("2026-10-24T23:59:00Z", "25. okt. 2026 01.59", "25 Oct 2026, 01:59"),
        ("2026-10-25T00:30:00Z", "25. okt. 2026 02.30 GMT+02:00", "25 Oct 2026, 02:30 GMT+02:00"),
        ("2026-10-25T01:30:00Z", "25. okt. 2026 02.30 GMT+01:00", "25 Oct 2026, 02:30 GMT+01:00"),
        ("2026-10-25T02:00:00Z", "25. okt. 2026 03.00", "25 Oct 2026, 03:00"),
    ],
)
def test_times_are_by_the_clock_of_the_zone(moment: str, danish: str, english: str) -> None:
    at = datetime.fromisoformat(moment)
    assert plain(DANISH_PHRASING.at(at)) == danish
    assert plain(ENGLISH_PHRASING.at(at)) == english


def test_another_zone_has_another_clock() -> None:
    assert plain(Phrasing(DANISH, ZoneInfo("America/Nuuk")).at(NOON)) == "22. nov. 2026 10.00"


@pytest.mark.parametrize(
    ("lasted", "danish", "english"),
    [
        (timedelta(0), "1 minut", "1 minute"),
        (timedelta(minutes=-3), "1 minut", "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutter", "59 minutes"),
        (timedelta(hours=1), "1 time", "1 hour"),
        (timedelta(hours=5, minutes=2), "5 timer og 2 minutter", "5 hours and 2 minutes"),
        (timedelta(days=1, hours=23, minutes=59), "1 dag og 23 timer", "1 day and 23 hours"),
        (timedelta(days=3, minutes=59), "3 dage", "3 days"),
        (timedelta(days=1200), "1.200 dage", "1,200 days"),
    ],
)
def test_durations_are_in_their_two_largest_units(lasted: timedelta, danish: str, english: str) -> None:
    assert plain(DANISH_PHRASING.lasting(NOON, NOON + lasted)) == danish
    assert plain(ENGLISH_PHRASING.lasting(NOON, NOON + lasted)) == english


def test_a_day_on_which_the_clock_is_put_back_is_an_hour_longer() -> None:
    begin = datetime(2026, 10, 25, tzinfo=COPENHAGEN)
    end = datetime(2026, 10, 26, tzinfo=COPENHAGEN)
    assert plain(ENGLISH_PHRASING.lasting(begin, end)) == "1 day and 1 hour"
    assert ENGLISH_PHRASING.lasting(begin.astimezone(UTC), end) == ENGLISH_PHRASING.lasting(begin, end)


@pytest.mark.parametrize(
    ("value", "unit", "danish", "english"),
    [
        (1234.567, "m3", "1.234,567 m³", "1,234.567 m³"),
        (44922.222222, "kWh", "44.922,222222 kWh", "44,922.222222 kWh"),
        (-0.001, "MWh", "-0,001 MWh", "-0.001 MWh"),
        (0.0, "GJ", "0 GJ", "0 GJ"),
        (12.0, "Wh", "12 Wh", "12 Wh"),
        (7.5, "l", "7,5 l", "7.5 l"),
        (1.0, "hca", "1 enhed", "1 unit"),
        (1234.0, "hca", "1.234 enheder", "1,234 units"),
        (3e-06, "m3", "0,000003 m³", "0.000003 m³"),
        (3e-07, "m3", "3E-7 m³", "3E-7 m³"),
        (1e300, "kWh", "1E300 kWh", "1E300 kWh"),
        (5.0, "bar\r\n", "5 bar", "5 bar"),
    ],
)
def test_values_have_all_their_digits_and_their_unit(value: float, unit: str, danish: str, english: str) -> None:
    assert plain(DANISH_PHRASING.amount(value, unit)).replace("\N{MINUS SIGN}", "-") == danish
    assert plain(ENGLISH_PHRASING.amount(value, unit)).replace("\N{MINUS SIGN}", "-") == english


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(UnitOfMeasure))
def test_any_value_is_written_in_few_characters(value: float, unit: UnitOfMeasure) -> None:
    for phrasing in (DANISH_PHRASING, ENGLISH_PHRASING):
        assert 3 <= len(phrasing.amount(value, unit)) <= 45


@given(st.text())
def test_a_name_is_one_line_of_printable_characters(text: str) -> None:
    shown = clip(text)
    assert shown.isprintable()
    assert len(shown) <= NAME_AT_MOST
    assert clip(shown) == shown


def test_a_name_is_cut_where_it_is_too_long() -> None:
    assert clip("Havnegade 4", 11) == "Havnegade 4"
    assert clip("Havnegade 42", 11) == "Havnegade…"
    assert clip("  Havne\tgade\u2028\x004 ") == "Havne gade 4"
