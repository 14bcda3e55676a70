"""The query parameters that choose a period and cut it."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from services.query.rules.calendar import Bucket
from services.query.rules.period import Period
from shared.http.times import DayOrTime
from shared.time_zones import zone_called


async def which_period(
    bucket: Annotated[Bucket, Query(description="What the period is cut into.")] = Bucket.DAY,
    start: Annotated[
        DayOrTime | None, Query(alias="from", description="From when on.", examples=["2026-10-01"])
    ] = None,
    end: Annotated[DayOrTime | None, Query(alias="to", description="Until when.", examples=["2026-11-01"])] = None,
) -> Period:
    """The period that is asked for."""
    return Period(bucket, start, end)


async def which_zone(
    time_zone: Annotated[
        Annotated[ZoneInfo, BeforeValidator(zone_called), WithJsonSchema({"type": "string", "format": "time-zone"})]
        | None,
        Query(
            description="By whose clocks buckets begin: an IANA name. The property's where it is not given.",
            examples=["Europe/Copenhagen"],
        ),
    ] = None,
) -> ZoneInfo | None:
    """The zone that is asked for, if one is."""
    return time_zone
