"""The period that somebody asks for, and the buckets that it is cut into."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from services.query.rules.calendar import EARLIEST, LATEST, Bucket, edges, start_of_day, usual_start

Moment = datetime | date
"""A time in UTC; or a day, which means its first moment in the zone."""


class PeriodError(ValueError):
    """The period cannot be cut; `field` is the parameter that is to be changed."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` on and before `end`; where nothing is said of them, until now and `usual_start` before."""

    bucket: Bucket
    start: Moment | None = None
    end: Moment | None = None

    def edges(self, zone: ZoneInfo, *, now: datetime, most: int) -> Sequence[datetime]:
        """Where its buckets begin, and the end of the last; in UTC. Raises `PeriodError` for more than `most`."""
        end = now if self.end is None else _time("to", self.end, zone)
        start = usual_start(end, self.bucket, zone) if self.start is None else _time("from", self.start, zone)
        if start >= end:
            raise PeriodError("from", "must be earlier than `to`, which is now where it is not given")
        cut = list(islice(edges(start, end, self.bucket, zone), most + 2))
        if len(cut) > most + 1:
            raise PeriodError(
                "bucket",
                f"cuts the period into more than {most} buckets (fewer for many meters); take longer ones,"
                " or a shorter period",
            )
        return cut


def _time(field: str, moment: Moment, zone: ZoneInfo) -> datetime:
    try:
        time = moment if isinstance(moment, datetime) else start_of_day(moment, zone)
    except OverflowError:
        time = None
    if time is None or not EARLIEST <= time <= LATEST:
        raise PeriodError(field, f"must lie in the years {EARLIEST.year} to {LATEST.year}")
    return time
