"""The shapes in which consumption is answered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from services.query.rules.calendar import Bucket
from services.query.rules.counter import Flag
from shared.http.fields import InstallationId
from shared.models import Medium, UnitOfMeasure

Used = Annotated[
    float | None,
    Field(description="What was used, in `unit_of_measure`; null where that is not known.", examples=[31.25]),
]
Flags = Annotated[list[Flag], Field(description="What is to be known of it.", examples=[["incomplete"]])]
Start = Annotated[datetime, Field(description="From this time on (UTC).", examples=["2026-10-31T23:00:00Z"])]
End = Annotated[datetime, Field(description="Before this time (UTC).", examples=["2026-11-01T23:00:00Z"])]
InUnit = Annotated[UnitOfMeasure, Field(description="What the consumption is in.", examples=["kWh"])]


@dataclass(slots=True)
class Consumption:
    """What was used in the whole period."""

    consumption: Used
    flags: Flags


@dataclass(slots=True)
class ConsumptionInBucket:
    """What was used in one bucket."""

    start: Start
    end: End
    consumption: Used
    flags: Flags


@dataclass(slots=True)
class PeriodOfConsumption:
    """The period as it was understood, and how it was cut."""

    bucket: Bucket
    time_zone: Annotated[
        str, Field(description="By whose clocks buckets begin and end.", examples=["Europe/Copenhagen"])
    ]
    start: Start
    end: End
    longest_gap: Annotated[
        timedelta,
        Field(
            description="An edge between two readings that are farther apart is not known, and so are the buckets"
            " beside it.",
            examples=["P2D"],
        ),
    ]


@dataclass(slots=True)
class ConsumptionOfInstallation(PeriodOfConsumption):
    """What one meter and those that it replaced counted, by time."""

    installation_id: InstallationId
    medium: Medium
    unit_of_measure: InUnit
    total: Consumption
    buckets: Annotated[list[ConsumptionInBucket], Field(description="By time, without a hole.")]
