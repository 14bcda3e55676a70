"""Quiet times, which do not count as silence: when so much counted time has passed, DST and all. Pure."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate

from services.alerts.rules.offsets import offsets
from shared.time_zones import is_time_zone

NONE = timedelta(0)
DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)
COUNTED_AT_LEAST = timedelta(hours=1)
"""Of each week. It keeps the walk through the years short, and a limit from being none."""

FIRST_MONDAY = datetime.min  # noqa: DTZ901 - as the wall clock says it, wherever it hangs
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class QuietTimes:
    """Weekdays (1 is Monday) and hours of each day, by the clock in `time_zone`, that do not count.

    The hours go from the first time until before the second, over midnight where the first is the later one.
    `ValueError` for times that cannot be, an unknown zone, and where less than an hour a week would count.
    """

    weekdays: frozenset[int]
    hours: tuple[time, time] | None
    time_zone: str

    def __post_init__(self) -> None:
        if not self.weekdays <= frozenset(range(1, 8)):
            raise ValueError("weekdays are 1 (Monday) to 7 (Sunday)")
        if self.hours is not None and self.hours[0] == self.hours[1]:
            raise ValueError("quiet hours begin and end at different times")
        if not is_time_zone(self.time_zone):
            raise ValueError(f"no time zone is called {self.time_zone!r}")
        if _week(self).counted < COUNTED_AT_LEAST:
            raise ValueError("at least one hour of the week must count")


def after(start: datetime, counted: timedelta, quiet: QuietTimes | None) -> datetime:
    """The first moment, in UTC, by which `counted` has passed since `start` outside the quiet times.

    What lies beyond the calendar is its last moment. An hour that the clock skips or repeats counts as it is lived:
    not at all, or twice.
    """
    try:
        if quiet is None:
            return start.astimezone(UTC) + counted
        return _walk(start.astimezone(UTC).replace(tzinfo=None), counted, quiet)
    except OverflowError:
        return END_OF_TIME


def _walk(moment: datetime, left: timedelta, quiet: QuietTimes) -> datetime:
    """While the offset to UTC stays, wall time passes evenly and weeks can be skipped: go from change to change.

    Of whole years it is known what counts. Moments are in UTC, without saying so, here and below.
    """
    week = _week(quiet)
    for year in range(moment.year, MAXYEAR):
        if moment == datetime(year, 1, 1) and _counted_in(year, quiet) < left:  # noqa: DTZ001 - UTC
            left -= _counted_in(year, quiet)
            moment = datetime(year + 1, 1, 1)  # noqa: DTZ001 - UTC
            continue
        for until, offset in offsets(quiet.time_zone, year):
            if until <= moment:
                continue
            passed = week.passed(moment + offset)
            counted_here = week.passed(until + offset) - passed
            if left <= counted_here:
                return (week.moment(passed + left, moment + offset) - offset).replace(tzinfo=UTC)
            left -= counted_here
            moment = until
    raise OverflowError


@dataclass(frozen=True)
class _Week:
    """What counts of a week on the wall: from when to when, since its Monday began, and how much by the end of each."""

    begins: tuple[timedelta, ...]
    ends: tuple[timedelta, ...]
    sums: tuple[timedelta, ...]

    @property
    def counted(self) -> timedelta:
        return self.sums[-1] if self.sums else NONE

    def passed(self, wall: datetime) -> timedelta:
        """How much has counted since the first Monday of the calendar."""
        weeks, rest = divmod(wall - FIRST_MONDAY, WEEK)
        begun = bisect_right(self.begins, rest)
        of_this_week = self.sums[begun - 1] - max(NONE, self.ends[begun - 1] - rest) if begun else NONE
        return weeks * self.counted + of_this_week

    def moment(self, passed: timedelta, earliest: datetime) -> datetime:
        """The first moment on the wall, not before `earliest`, by which so much has counted."""
        weeks, rest = divmod(passed, self.counted)
        if not rest:
            # It is the end of the week before, not the first that counts in this one.
            weeks, rest = weeks - 1, self.counted
        last = bisect_left(self.sums, rest)
        return max(earliest, FIRST_MONDAY + weeks * WEEK + (self.ends[last] - (self.sums[last] - rest)))


@lru_cache(maxsize=1024)
def _week(quiet: QuietTimes) -> _Week:
    counted = [
        (weekday * DAY + begin, weekday * DAY + end)
        for weekday in range(7)
        if weekday + 1 not in quiet.weekdays
        for begin, end in _counted_of_a_day(quiet.hours)
        if begin < end
    ]
    return _Week(
        begins=tuple(begin for begin, _ in counted),
        ends=tuple(end for _, end in counted),
        sums=tuple(accumulate(end - begin for begin, end in counted)),
    )


def _counted_of_a_day(hours: tuple[time, time] | None) -> list[tuple[timedelta, timedelta]]:
    if hours is None:
        return [(NONE, DAY)]
    quiet_from, quiet_until = (_since_midnight(one) for one in hours)
    if quiet_from > quiet_until:
        return [(quiet_until, quiet_from)]
    return [(NONE, quiet_from), (quiet_until, DAY)]


def _since_midnight(wall: time) -> timedelta:
    return timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)


@lru_cache(maxsize=65_536)
def _counted_in(year: int, quiet: QuietTimes) -> timedelta:
    week, counted = _week(quiet), NONE
    moment = datetime(year, 1, 1)  # noqa: DTZ001 - UTC
    for until, offset in offsets(quiet.time_zone, year):
        counted += week.passed(until + offset) - week.passed(moment + offset)
        moment = until
    return counted
