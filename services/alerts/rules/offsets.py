"""When a time zone is how far from UTC, which a zone does not tell: found by asking it. Pure."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NONE = timedelta(0)
SECOND = timedelta(seconds=1)
WEEK = timedelta(weeks=1)


@lru_cache(maxsize=65_536)
def offsets(time_zone: str, year: int) -> tuple[tuple[datetime, timedelta], ...]:
    """The offsets in a year, each with until when it holds, at most the year's end. In UTC, without saying so.

    While the offset stays, the clock on the wall moves evenly. The zone is asked each week; where it differs the second
    is searched for.
    """
    zone = ZoneInfo(time_zone)

    def offset_at(moment: datetime) -> timedelta:
        return moment.replace(tzinfo=UTC).astimezone(zone).utcoffset() or NONE

    found: list[tuple[datetime, timedelta]] = []
    moment, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)  # noqa: DTZ001 - UTC
    offset = offset_at(moment)
    while moment < end:
        later = min(moment + WEEK, end)
        if offset_at(later) == offset:
            moment = later
            continue
        within = range(int((later - moment).total_seconds()))
        moment += SECOND * bisect_left(within, True, key=lambda second: offset_at(moment + second * SECOND) != offset)
        found.append((moment, offset))
        offset = offset_at(moment)
    return (*found, (end, offset))
