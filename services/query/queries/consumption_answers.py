"""The shapes in which consumption is answered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.query.rules.calendar import Bucket
from services.query.rules.counter import Flag
from shared.http.fields import UNIT_EXAMPLE, InstallationId, PropertyId, UnitId, UnitLabel
from shared.models import Medium, UnitOfMeasure

Used = Annotated[
    float | None,
    Field(description="What was used, in `unit_of_measure`; null where that is not known.", examples=[31.25]),
]
Flags = Annotated[
    list[Flag],
    Field(
        description="What is to be known of it. `no_data`: no reading says anything of it. `incomplete`: it reaches"
        " beyond the first or the last reading, and what is between these is told. `gap`: it begins or ends between two"
        " readings that are farther apart than `longest_gap`. `exchanged`: another meter took over; what was used"
        " between its first reading and the last one before is not in it. `counter_fell`: a counter showed less than"
        " before; what was used between these two readings is not in it. `reset`: a heat cost allocator began anew at"
        " zero.",
        examples=[["incomplete"]],
    ),
]
Start = Annotated[datetime, Field(description="From this time on (UTC).", examples=["2026-10-31T23:00:00Z"])]
End = Annotated[datetime, Field(description="Before this time (UTC).", examples=["2026-11-01T23:00:00Z"])]
InUnit = Annotated[UnitOfMeasure, Field(description="What the consumption is in.", examples=["kWh"])]
Meters = Annotated[
    int, Field(description="How many meters were mounted in that time; an exchanged one is one.", examples=[12])
]
Unknown = Annotated[
    int, Field(description="Of so many of them the consumption is not known, and not in the sum.", examples=[0])
]


@dataclass(slots=True)
class Consumption:
    """What was used in the whole period: known also where that of a bucket is not."""

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
class SumOfConsumption:
    """What several meters used in the whole period; the flags are of any of them."""

    consumption: Used
    flags: Flags
    meters: Meters
    unknown: Unknown


@dataclass(slots=True)
class SumInBucket:
    """What several meters used in one bucket; the flags are of any of them."""

    start: Start
    end: End
    consumption: Used
    flags: Flags
    meters: Meters
    unknown: Unknown


@dataclass(slots=True)
class ConsumptionOfMedium:
    """What all meters of one medium used, in one property or one unit of it."""

    unit_id: Annotated[
        UUID | None, Field(description="The unit that it is of; null of a whole property.", examples=[UNIT_EXAMPLE])
    ]
    unit_label: Annotated[
        str | None, Field(description="What that unit is called; null of a whole property.", examples=["1. tv"])
    ]
    medium: Medium
    unit_of_measure: InUnit
    total: SumOfConsumption
    buckets: Annotated[list[SumInBucket], Field(description="By time, without a hole.")]


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
            description="A bucket that begins or ends between two readings that are farther apart than this is not"
            " known.",
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


Series = Annotated[
    list[ConsumptionOfMedium],
    Field(
        description="One of each medium and quantity that was metered in the period, by medium: in kWh, m3 or hca."
        " One of each unit too where that was asked for, by label."
    ),
]


@dataclass(slots=True)
class ConsumptionOfUnit(PeriodOfConsumption):
    """What the meters of one unit counted, by time and medium."""

    property_id: PropertyId
    unit_id: UnitId
    unit_label: UnitLabel
    series: Series


@dataclass(slots=True)
class ConsumptionOfProperty(PeriodOfConsumption):
    """What the meters of one property counted, by time and medium."""

    property_id: PropertyId
    series: Series
