"""Times in URLs: what is written can be read, unescaped too."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.http.times import format_time, parse_time

NINE = datetime(2026, 11, 1, 9, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_written_time_is_read_back_from_an_unescaped_url(time: datetime) -> None:
    written = format_time(time)
    assert written.endswith("Z")
    assert parse_time(parse_qs(f"before={written}")["before"][0]) == time


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_an_offset_whose_plus_became_a_space_is_read(time: datetime) -> None:
    assume(2 < time.year < 9998)
    assert parse_time(time.isoformat().replace("+", " ")) == time


@given(st.text())
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["2026-11-01T09:00Z", "2026-11-01T09:00:00z", "2026-11-01 10:00:00+01:00", "2026-11-01T10:00:00,000 0100"],
)
def test_common_spellings_are_read(text: str) -> None:
    assert parse_time(text) == NINE


def test_microseconds_are_written_when_there_are_any() -> None:
    assert format_time(NINE) == "2026-11-01T09:00:00Z"
    assert format_time(NINE.replace(microsecond=120)) == "2026-11-01T09:00:00.000120Z"
