"""The calendar of a zone: the edges of hours, days, weeks and months, across changes of its clocks."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import takewhile
from zoneinfo import ZoneInfo

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)
"""Times are asked for between these: no offset leads from there beyond what a `datetime` can say."""

HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
MONTHS = 12


class Bucket(StrEnum):
    """What a period is cut into, by the clocks of a zone. Weeks begin on Monday (ISO 8601)."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


USUAL_BUCKETS = {Bucket.HOUR: 48, Bucket.DAY: 31, Bucket.WEEK: 13, Bucket.MONTH: 13}
"""How many there are where nobody says from when; the last is the one in which the period ends."""


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of that day, in UTC; its midnight, where there is one.

    Where clocks go forward at midnight, it is the moment at which they do; where there are two midnights, the first.
    """
    return datetime.combine(day, time(), zone).astimezone(UTC)


def edges(start: datetime, end: datetime, bucket: Bucket, zone: ZoneInfo) -> Iterator[datetime]:
    """`start`, every moment between at which a bucket of the zone begins, and `end`; in UTC and rising."""
    yield start
    yield from takewhile(lambda edge: edge < end, _edges_after(start, bucket, zone))
    yield end


def usual_start(end: datetime, bucket: Bucket, zone: ZoneInfo) -> datetime:
    """Where a period that ends at `end` begins when nobody says: at an edge, `USUAL_BUCKETS` before."""
    last = (end - MOMENT).astimezone(zone)
    back = USUAL_BUCKETS[bucket] - 1
    day = last.date()
    match bucket:
        case Bucket.HOUR:
            first = last.astimezone(UTC) - back * HOUR
            midnight = start_of_day(first.astimezone(zone).date(), zone)
            return max(takewhile(lambda edge: edge <= first, _edges_after(midnight, bucket, zone)), default=midnight)
        case Bucket.DAY:
            return start_of_day(day - back * DAY, zone)
        case Bucket.WEEK:
            return start_of_day(_monday(day) - 7 * back * DAY, zone)
        case Bucket.MONTH:
            return start_of_day(_months_later(day, -back), zone)


def _edges_after(start: datetime, bucket: Bucket, zone: ZoneInfo) -> Iterator[datetime]:
    edge = start
    if bucket is Bucket.HOUR:
        while True:
            # After a change of half an hour one is shorter, and none is ever longer.
            edge += HOUR - _past_the_hour(edge.astimezone(zone))
            yield edge
    day = start.astimezone(zone).date()
    while True:
        day = _next(day, bucket)
        before, edge = edge, start_of_day(day, zone)
        # A day that a zone left out begins when the next one does.
        if edge > before:
            yield edge


def _past_the_hour(local: datetime) -> timedelta:
    return timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _next(day: date, bucket: Bucket) -> date:
    match bucket:
        case Bucket.WEEK:
            return _monday(day) + 7 * DAY
        case Bucket.MONTH:
            return _months_later(day, 1)
        case _:
            return day + DAY


def _monday(day: date) -> date:
    return day - day.weekday() * DAY


def _months_later(day: date, months: int) -> date:
    """The first of the month that is so many later."""
    years, month = divmod(day.month - 1 + months, MONTHS)
    return date(day.year + years, month + 1, 1)
