"""Edges of buckets, by themselves: against a model that looks at the clock on the wall each minute."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.query.rules.calendar import USUAL_BUCKETS, Bucket, edges, start_of_day, usual_start

MINUTE = timedelta(minutes=1)
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
# When each changes its clock: an hour by night or at midnight, half an hour, two hours, a whole day that was left out.
CHANGES = {
    "Europe/Copenhagen": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/Havana": ("2026-03-08T05:00Z", "2026-11-01T05:00Z"),
    "America/Santiago": ("2026-09-06T04:00Z", "2026-04-05T03:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00Z", "2026-10-03T15:30Z"),
    "Antarctica/Troll": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "Africa/Casablanca": ("2026-02-15T02:00Z", "2026-03-22T02:00Z"),
    "Pacific/Apia": ("2011-12-30T10:00Z",),
    "Asia/Kathmandu": ("2026-06-01T00:00Z",),
}


def begins(minute: datetime, bucket: Bucket, zone: ZoneInfo) -> bool:
    """Whether the wall shows at that minute that another bucket has begun since the minute before."""
    now, before = minute.astimezone(zone), (minute - MINUTE).astimezone(zone)
    match bucket:
        case Bucket.HOUR:
            return now.minute == 0 or now.utcoffset() != before.utcoffset()
        case Bucket.DAY:
            return now.date() != before.date()
        case Bucket.WEEK:
            return now.isocalendar()[:2] != before.isocalendar()[:2]
        case Bucket.MONTH:
            return now.month != before.month


@st.composite
def around_a_change(draw: st.DrawFn) -> tuple[datetime, ZoneInfo]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone])))
    return change + draw(st.integers(-3000, 1000)) * MINUTE, ZoneInfo(zone)


@settings(deadline=None)
@given(around_a_change(), st.integers(1, 4000), st.sampled_from(Bucket))
def test_edges_are_where_the_clock_on_the_wall_says(
    case: tuple[datetime, ZoneInfo], minutes: int, bucket: Bucket
) -> None:
    start, zone = case
    between = (start + n * MINUTE for n in range(1, minutes))
    assert list(edges(start, start + minutes * MINUTE, bucket, zone)) == [
        start,
        *(minute for minute in between if begins(minute, bucket, zone)),
        start + minutes * MINUTE,
    ]


@settings(deadline=None)
@given(around_a_change(), st.sampled_from(Bucket))
def test_where_nobody_says_from_when_it_is_an_edge_and_a_usual_number_of_buckets_before(
    case: tuple[datetime, ZoneInfo], bucket: Bucket
) -> None:
    end, zone = case
    start = usual_start(end, bucket, zone)
    assert begins(start, bucket, zone)
    # One more or less where half an hour or a day is too many or missing.
    assert abs(len(list(pairwise(edges(start, end, bucket, zone)))) - USUAL_BUCKETS[bucket]) <= 1


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)], ids=["spring", "autumn", "other"]
)
def test_a_day_has_as_many_buckets_as_hours(day: str, hours: int) -> None:
    that = date.fromisoformat(day)
    start, end = start_of_day(that, COPENHAGEN), start_of_day(that + timedelta(days=1), COPENHAGEN)
    of_hours = list(edges(start, end, Bucket.HOUR, COPENHAGEN))
    assert len(of_hours) - 1 == hours
    assert {later - one for one, later in pairwise(of_hours)} == {timedelta(hours=1)}


def test_a_day_that_begins_when_the_clock_goes_forward_begins_then() -> None:
    assert start_of_day(date(2026, 3, 8), ZoneInfo("America/Havana")) == datetime(2026, 3, 8, 5, tzinfo=UTC)


def test_of_two_midnights_the_first_begins_the_day() -> None:
    assert start_of_day(date(2026, 11, 1), ZoneInfo("America/Havana")) == datetime(2026, 11, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("end", "bucket", "start"),
    [
        ("2026-11-01T12:30:00+01:00", Bucket.HOUR, "2026-10-30T13:00:00+01:00"),
        ("2026-11-01T12:30:00+01:00", Bucket.DAY, "2026-10-02T00:00:00+02:00"),
        ("2026-11-01T00:00:00+01:00", Bucket.DAY, "2026-10-01T00:00:00+02:00"),
        ("2026-11-01T12:30:00+01:00", Bucket.WEEK, "2026-08-03T00:00:00+02:00"),
        ("2026-11-01T12:30:00+01:00", Bucket.MONTH, "2025-11-01T00:00:00+01:00"),
        ("2026-01-01T00:00:00+01:00", Bucket.MONTH, "2024-12-01T00:00:00+01:00"),
    ],
)
def test_the_last_bucket_is_the_one_in_which_the_period_ends(end: str, bucket: Bucket, start: str) -> None:
    assert usual_start(datetime.fromisoformat(end), bucket, COPENHAGEN) == datetime.fromisoformat(start)


def test_a_day_that_a_zone_left_out_is_no_bucket() -> None:
    apia = ZoneInfo("Pacific/Apia")
    start, end = start_of_day(date(2011, 12, 29), apia), start_of_day(date(2012, 1, 1), apia)
    days = [edge.astimezone(apia).day for edge in edges(start, end, Bucket.DAY, apia)]
    assert days == [29, 31, 1]
