"""Counted time, by itself: against a model that asks the clock on the wall each minute."""

import time as stopwatch
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.alerts.rules.quiet import END_OF_TIME, QuietTimes, after

MINUTE = timedelta(minutes=1)
COPENHAGEN = "Europe/Copenhagen"
# When each changes its clock: an hour by day or at midnight, half an hour, two hours, a whole day that was left out.
CHANGES = {
    COPENHAGEN: ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/Havana": ("2026-03-08T05:00Z", "2026-11-01T05:00Z"),
    "America/Santiago": ("2026-09-06T04:00Z", "2026-04-05T03:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00Z", "2026-10-03T15:30Z"),
    "Antarctica/Troll": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "Africa/Casablanca": ("2026-02-15T02:00Z", "2026-03-22T02:00Z"),
    "Pacific/Apia": ("2011-12-30T10:00Z",),
    "Asia/Kathmandu": ("2026-06-01T00:00Z",),
}
WORKING_DAYS = QuietTimes(frozenset({6, 7}), None, COPENHAGEN)
NIGHTS = QuietTimes(frozenset(), (time(19), time(7)), COPENHAGEN)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # the parts of a date


def counts(moment: datetime, quiet: QuietTimes) -> bool:
    wall = moment.astimezone(ZoneInfo(quiet.time_zone))
    if wall.isoweekday() in quiet.weekdays:
        return False
    if quiet.hours is None:
        return True
    begin, end = quiet.hours
    return not (begin <= wall.time() < end if begin < end else wall.time() >= begin or wall.time() < end)


def minute_by_minute(start: datetime, minutes: int, quiet: QuietTimes) -> datetime:
    moment = start
    while minutes:
        minutes -= counts(moment, quiet)
        moment += MINUTE
    return moment


@st.composite
def around_a_change(draw: st.DrawFn) -> tuple[datetime, QuietTimes]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone])))
    quarters = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
    hours = draw(st.none() | st.tuples(quarters, quarters).filter(lambda both: both[0] != both[1]))
    weekdays = draw(st.frozensets(st.integers(1, 7), max_size=6 if hours is None else 3))
    return change + draw(st.integers(-3000, 1000)) * MINUTE, QuietTimes(weekdays, hours, zone)


@settings(deadline=None)
@given(around_a_change(), st.integers(0, 4000))
@example((utc(2026, 3, 28, 20), NIGHTS), 0)
def test_it_is_what_the_clock_on_the_wall_says_minute_by_minute(
    case: tuple[datetime, QuietTimes], minutes: int
) -> None:
    start, quiet = case
    assert after(start, minutes * MINUTE, quiet) == minute_by_minute(start, minutes, quiet)


@given(
    around_a_change(),
    st.timedeltas(timedelta(0), timedelta(days=400)),
    st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_what_is_counted_at_once_is_counted_in_two_parts_too(
    case: tuple[datetime, QuietTimes], first: timedelta, second: timedelta
) -> None:
    start, quiet = case
    assert after(after(start, first, quiet), second, quiet) == after(start, first + second, quiet)
    assert start <= after(start, first, quiet) <= after(start, first + second, quiet)


@given(
    st.timedeltas(timedelta(days=-10_000), timedelta(days=30_000)).map(utc(2026, 11, 1).__add__),
    st.timedeltas(timedelta(0), timedelta(days=3650)),
)
def test_without_quiet_times_all_time_counts(start: datetime, counted: timedelta) -> None:
    assert after(start, counted, None) == start + counted


@pytest.mark.parametrize(
    ("start", "counted", "quiet", "expected"),
    [
        pytest.param(utc(2026, 11, 20, 11), timedelta(hours=48), WORKING_DAYS, utc(2026, 11, 24, 11), id="weekend"),
        pytest.param(utc(2026, 11, 21, 9), timedelta(hours=1), WORKING_DAYS, utc(2026, 11, 23, 0), id="from a weekend"),
        pytest.param(utc(2026, 11, 20, 17), timedelta(hours=2), NIGHTS, utc(2026, 11, 21, 7), id="over night"),
        # The end of a counted stretch, not the beginning of the next.
        pytest.param(utc(2026, 11, 20, 17), timedelta(hours=1), NIGHTS, utc(2026, 11, 20, 18), id="until the night"),
        # 07-19 is 05-17 in summer and 06-18 in winter.
        pytest.param(utc(2026, 10, 24, 16), timedelta(hours=2), NIGHTS, utc(2026, 10, 25, 7), id="night of 13 hours"),
        pytest.param(utc(2026, 3, 28, 17), timedelta(hours=2), NIGHTS, utc(2026, 3, 29, 6), id="night of 11 hours"),
    ],
)
def test_examples(start: datetime, counted: timedelta, quiet: QuietTimes, expected: datetime) -> None:
    assert after(start, counted, quiet) == expected
    elsewhere = start.astimezone(ZoneInfo("America/Havana"))
    assert after(elsewhere, counted, quiet).isoformat() == expected.isoformat()


def test_an_hour_that_is_lived_twice_counts_twice_and_one_that_is_skipped_not_at_all() -> None:
    two_to_three = QuietTimes(frozenset(), (time(3), time(2)), COPENHAGEN)
    assert after(utc(2026, 10, 24, 22), timedelta(hours=2), two_to_three) == utc(2026, 10, 25, 2)
    assert after(utc(2026, 3, 28, 23), timedelta(hours=1), two_to_three) == utc(2026, 3, 30, 1)


@pytest.mark.parametrize(
    ("quiet", "within_s"),
    [
        pytest.param(QuietTimes(frozenset({6, 7}), (time(19), time(7)), COPENHAGEN), 0.2, id="working hours"),
        pytest.param(QuietTimes(frozenset(range(1, 7)), (time(1), time(0)), COPENHAGEN), 5, id="an hour a week"),
    ],
)
def test_the_longest_limit_is_found_quickly(quiet: QuietTimes, within_s: float) -> None:
    began = stopwatch.process_time()
    found = after(utc(2026, 11, 1), timedelta(days=3650), quiet)
    assert stopwatch.process_time() - began < within_s
    assert found < END_OF_TIME


def test_what_lies_beyond_the_calendar_is_its_end() -> None:
    assert after(utc(2026, 11, 1), timedelta.max, None) == END_OF_TIME
    assert after(utc(9000, 11, 1), timedelta(days=366_000), NIGHTS) == END_OF_TIME


@pytest.mark.parametrize(
    ("weekdays", "hours", "zone", "why"),
    [
        ({1, 8}, None, COPENHAGEN, "weekdays are"),
        (set(), (time(7), time(7)), COPENHAGEN, "different times"),
        (set(), None, "Europe/Kobenhavn", "no time zone"),
        (set(), None, "../etc/passwd", "no time zone"),
        (set(), None, "Europe", "no time zone"),
        ({1, 2, 3, 4, 5, 6}, (time(0, 59), time(0)), COPENHAGEN, "at least one hour"),
        ({1, 2, 3, 4, 5, 6, 7}, None, COPENHAGEN, "at least one hour"),
    ],
)
def test_times_that_cannot_be_are_refused(
    weekdays: set[int], hours: tuple[time, time] | None, zone: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        QuietTimes(frozenset(weekdays), hours, zone)
