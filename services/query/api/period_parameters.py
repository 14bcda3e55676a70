"""The query parameters that choose a period and cut it."""

from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from services.query.queries.consumption import Wanted
from services.query.rules.calendar import USUAL_BUCKETS, Bucket
from services.query.rules.period import Period
from shared.clock import Clock
from shared.http.times import DayOrTime
from shared.time_zones import zone_called

USUALLY = ", ".join(f"{number} by `{bucket}`" for bucket, number in USUAL_BUCKETS.items())
TimeZone = Annotated[
    ZoneInfo, BeforeValidator(zone_called), WithJsonSchema({"type": "string", "format": "iana-time-zone"})
]


class WantedIn:
    """The dependency that makes `Wanted` of a request's parameters."""

    def __init__(self, *, longest_gap: timedelta, clock: Clock) -> None:
        self._longest_gap = longest_gap
        self._clock = clock

    async def __call__(
        self,
        *,
        bucket: Annotated[
            Bucket, Query(description="What the period is cut into, by the clocks of the zone; weeks begin on Monday.")
        ] = Bucket.DAY,
        start: Annotated[
            DayOrTime | None,
            Query(
                alias="from",
                description="From this time on; of a date from when it begins in the zone. Without it, so many buckets"
                f" before `to`: {USUALLY}.",
                examples=["2026-10-01"],
            ),
        ] = None,
        end: Annotated[
            DayOrTime | None,
            Query(
                alias="to",
                description="Before this time; of a date before it begins in the zone. Without it, until now.",
                examples=["2026-11-01"],
            ),
        ] = None,
        time_zone: Annotated[
            TimeZone | None,
            Query(
                description="By whose clocks: a name of the IANA data base. Without it the property's, or else the"
                " tenant's.",
                examples=["Europe/Copenhagen"],
            ),
        ] = None,
    ) -> Wanted:
        """What is asked for, at this moment."""
        return Wanted(Period(bucket, start, end), time_zone, self._longest_gap, self._clock())
