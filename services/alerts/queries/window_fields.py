"""Maintenance windows as they are sent and answered: what each field is, in which unit, and an example of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.alerts.queries.policy_fields import TimeOfDay, TimeZone, Weekday
from shared.http.bodies import STRICTLY, Text
from shared.http.fields import PROPERTY_EXAMPLE, TIME_EXAMPLE
from shared.http.times import Day, Time

WINDOW_EXAMPLE = "8c0b1c1e-7f0a-4d5e-9a35-6f1d2f0c7e44"
GATEWAY_ID = "^[A-Za-z0-9_-]{1,64}$"

# The examples are those of one window: of a property, every Tuesday.
WindowId = Annotated[UUID, Field(description="The window's id.", examples=[WINDOW_EXAMPLE])]
OfInstallation = Annotated[
    UUID | None,
    Field(description="The one meter that it is of; null where it is not of one.", examples=[None]),
]
OfProperty = Annotated[
    UUID | None,
    Field(description="The property whose meters it is of; null where it is not of one.", examples=[PROPERTY_EXAMPLE]),
]
OfGateway = Annotated[
    Annotated[str, Field(pattern=GATEWAY_ID)] | None,
    Field(
        description="The gateway that it is of, with the meters behind it; null where it is not of one.",
        examples=[None],
    ),
]
StartsAt = Annotated[
    Time | None,
    Field(description="When it starts, of a window that is once; null where it recurs.", examples=[None]),
]
EndsAt = Annotated[
    Time | None, Field(description="When it ends, of a window that is once; null where it recurs.", examples=[None])
]
Weekdays = Annotated[
    list[Weekday],
    Field(
        max_length=7,
        description="The weekdays on which it recurs, by which it begins: 1 is Monday, 7 is Sunday. Empty where it is"
        " once.",
        examples=[[2]],
    ),
]
FromTime = Annotated[
    TimeOfDay | None,
    Field(
        description="From this time of day until `until_time`, of the next day where that is the earlier one; null for"
        " all day, or where it is once.",
        examples=["08:00:00"],
    ),
]
UntilTime = Annotated[
    TimeOfDay | None, Field(description="When it ends on such a day; null for all day.", examples=["16:00:00"])
]
ValidFrom = Annotated[
    Day | None, Field(description="The first day on which it may begin; null for any.", examples=["2026-11-01"])
]
ValidUntil = Annotated[
    Day | None, Field(description="The last day on which it may begin; null for any.", examples=["2026-12-31"])
]
Note = Annotated[
    Text | None, Field(description="What for; null for nothing.", examples=["The power is being renewed."])
]


@dataclass(frozen=True, slots=True)
class MaintenanceWindowBody:
    """A window as somebody wants it: of one meter, property or gateway, or of none of these, the whole tenant.

    Once (`starts_at`, `ends_at`) or recurring (`weekdays`).
    """

    __pydantic_config__ = STRICTLY
    installation_id: OfInstallation = None
    property_id: OfProperty = None
    gateway_id: OfGateway = None
    starts_at: StartsAt = None
    ends_at: EndsAt = None
    weekdays: Weekdays = field(default_factory=list)
    from_time: FromTime = None
    until_time: UntilTime = None
    valid_from: ValidFrom = None
    valid_until: ValidUntil = None
    time_zone: TimeZone = None
    note: Note = None


@dataclass(slots=True)
class MaintenanceWindow:
    """A time in which nobody is told that something fell silent. Alerts are opened and listed as always."""

    id: WindowId
    installation_id: OfInstallation
    property_id: OfProperty
    gateway_id: OfGateway
    starts_at: StartsAt
    ends_at: EndsAt
    weekdays: Weekdays
    from_time: FromTime
    until_time: UntilTime
    valid_from: ValidFrom
    valid_until: ValidUntil
    time_zone: TimeZone
    note: Note
    created_at: Annotated[datetime, Field(description="When it was made (UTC).", examples=[TIME_EXAMPLE])]
    updated_at: Annotated[datetime, Field(description="When it was last written (UTC).", examples=[TIME_EXAMPLE])]
    updated_by: Annotated[
        str | None,
        Field(description="Who wrote it last: the `sub` of the token.", examples=["caretaker@example.com"]),
    ]
