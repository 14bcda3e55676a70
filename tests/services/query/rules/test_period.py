"""The period that is asked for, by itself."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.query.rules.calendar import Bucket
from services.query.rules.period import Moment, Period, PeriodError

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
COPENHAGEN = ZoneInfo("Europe/Copenhagen")


def cut(period: Period, most: int = 100) -> list[datetime]:
    return list(period.edges(COPENHAGEN, now=NOW, most=most))


def test_it_ends_now_where_nobody_says_when() -> None:
    edges = cut(Period(Bucket.DAY, start=date(2026, 10, 31)))
    assert edges == [datetime(2026, 10, 30, 23, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC), NOW]


def test_the_first_and_the_last_bucket_are_cut_to_what_is_asked_for() -> None:
    start, end = NOW - timedelta(days=1), NOW
    assert cut(Period(Bucket.DAY, start, end)) == [start, datetime(2026, 10, 31, 23, tzinfo=UTC), end]
    assert cut(Period(Bucket.MONTH, NOW, NOW + timedelta(minutes=1))) == [NOW, NOW + timedelta(minutes=1)]


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (NOW, NOW, "from"),
        (NOW, date(2026, 11, 1), "from"),
        (NOW + timedelta(days=1), None, "from"),
        (datetime(1969, 12, 31, tzinfo=UTC), None, "from"),
        (date(1, 1, 1), None, "from"),
        (None, datetime(1969, 12, 31, tzinfo=UTC), "to"),
        (None, date(9999, 12, 31), "to"),
        (None, date(3000, 1, 1), "to"),
        (date(2025, 1, 1), None, "bucket"),
    ],
)
def test_what_cannot_be_cut_names_the_parameter(start: Moment | None, end: Moment | None, field: str) -> None:
    with pytest.raises(PeriodError) as refused:
        cut(Period(Bucket.DAY, start, end))
    assert refused.value.field == field


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Pacific/Kiritimati", "Europe/Copenhagen"])
@pytest.mark.parametrize("bucket", Bucket)
def test_the_ends_of_what_can_be_asked_for_are_cut_in_every_zone(zone: str, bucket: Bucket) -> None:
    for period in (Period(bucket, end=date(1970, 1, 3)), Period(bucket, date(2999, 12, 28), date(2999, 12, 30))):
        assert period.edges(ZoneInfo(zone), now=NOW, most=100)


def test_as_many_buckets_as_there_may_be_are_not_too_many() -> None:
    assert len(cut(Period(Bucket.DAY, date(2026, 10, 1), date(2026, 10, 8)), most=7)) == 8
    with pytest.raises(PeriodError, match="more than 6 buckets"):
        cut(Period(Bucket.DAY, date(2026, 10, 1), date(2026, 10, 8)), most=6)
