"""Policies as they are sent and answered: what each field is, in which unit, and an example of it."""

import re
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema

from shared.http.bodies import STRICTLY, Text
from shared.http.durations import Duration
from shared.http.fields import INSTALLATION_EXAMPLE, PROPERTY_EXAMPLE, TIME_EXAMPLE
from shared.models import Medium

POLICY_EXAMPLE = "1f7a5c0e-2a4b-4a86-9a53-9a1a3f0f7b11"
STALE_AFTER_EXAMPLE, GRACE_EXAMPLE, REMIND_EVERY_EXAMPLE = "P3D", "P7D", "P1D"
TIME_OF_DAY = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
LONGEST = timedelta(days=3600)
"""As PostgreSQL counts ten years."""
REMIND_SHORTEST, REMIND_LONGEST = timedelta(hours=1), timedelta(days=90)


def _parse_time_of_day(text: object) -> time:
    if not isinstance(text, str) or not re.fullmatch(TIME_OF_DAY, text, re.ASCII):
        raise ValueError("must be a time of day without an offset, such as 22:00")
    return time.fromisoformat(text)


TimeOfDay = Annotated[
    time, BeforeValidator(_parse_time_of_day), WithJsonSchema({"type": "string", "pattern": TIME_OF_DAY})
]

PolicyId = Annotated[UUID, Field(description="The policy's id.", examples=[POLICY_EXAMPLE])]
OfInstallation = Annotated[
    UUID | None,
    Field(description="The one meter that it holds for; null where it is not of one.", examples=[INSTALLATION_EXAMPLE]),
]
OfProperty = Annotated[
    UUID | None,
    Field(description="The property that it holds for; null where it is not of one.", examples=[PROPERTY_EXAMPLE]),
]
OfMedium = Annotated[
    Medium | None, Field(description="What the meters measure that it holds for; null where it is not of that.")
]
StaleAfter = Annotated[
    Duration,
    Field(
        description="How long a meter may be silent, without the quiet times: an ISO 8601 duration of a second to 3600"
        " days.",
        examples=[STALE_AFTER_EXAMPLE],
    ),
]
Weekday = Annotated[int, Field(ge=1, le=7)]
QuietWeekdays = Annotated[
    list[Weekday],
    Field(max_length=6, description="Weekdays that do not count: 1 is Monday, 7 is Sunday.", examples=[[6, 7]]),
]
QuietFrom = Annotated[
    TimeOfDay | None,
    Field(
        description="From this time of day until `quiet_until` silence does not count, over midnight where that is the"
        " earlier one; null where all hours count.",
        examples=["19:00:00"],
    ),
]
QuietUntil = Annotated[
    TimeOfDay | None, Field(description="When the quiet hours end; null where there are none.", examples=["07:00:00"])
]
TimeZone = Annotated[
    Annotated[str, Field(max_length=64, pattern="^[A-Za-z0-9_+/-]*$")] | None,
    Field(
        description="Where weekdays and hours are those of the wall clock: a name of the IANA data base; null for the"
        " tenant's.",
        examples=["Europe/Copenhagen"],
    ),
]
Grace = Annotated[
    Duration,
    Field(
        description="For how long a new meter is never stale, quiet times or not: an ISO 8601 duration of up to 3600"
        " days.",
        examples=[GRACE_EXAMPLE],
    ),
]
RemindEvery = Annotated[
    Duration | None,
    Field(
        description="After how long subscribers by webhook and mail are told again of a silence that lasts, and again:"
        " an ISO 8601 duration of an hour to 90 days; null for never. Of a silent gateway they are told again as the"
        " policy of the whole tenant says.",
        examples=[REMIND_EVERY_EXAMPLE],
    ),
]
Note = Annotated[
    Text | None,
    Field(description="Why it is as it is; null for nothing.", examples=["The allocators rest at weekends."]),
]


@dataclass(frozen=True, slots=True)
class PolicyBody:
    """A policy as somebody wants it: of one installation, property or medium, or of none of these, the whole tenant."""

    __pydantic_config__ = STRICTLY
    stale_after: StaleAfter
    installation_id: OfInstallation = None
    property_id: OfProperty = None
    medium: OfMedium = None
    quiet_weekdays: QuietWeekdays = field(default_factory=list)
    quiet_from: QuietFrom = None
    quiet_until: QuietUntil = None
    time_zone: TimeZone = None
    grace: Grace = timedelta(0)
    remind_every: RemindEvery = None
    note: Note = None


@dataclass(frozen=True, slots=True)
class PreviewBody:
    """A change of policies to look at: one that is made, one that is replaced, or one that is removed."""

    __pydantic_config__ = STRICTLY
    policy_id: Annotated[
        UUID | None,
        Field(description="The policy to be replaced or removed; null where one is made.", examples=[POLICY_EXAMPLE]),
    ] = None
    policy: Annotated[PolicyBody | None, Field(description="As it would be; null where it is removed.")] = None


@dataclass(slots=True)
class Policy:
    """How long a meter may be silent. Of those that concern a meter the most specific holds, whole."""

    id: PolicyId
    installation_id: OfInstallation
    property_id: OfProperty
    medium: OfMedium
    stale_after: StaleAfter
    quiet_weekdays: QuietWeekdays
    quiet_from: QuietFrom
    quiet_until: QuietUntil
    time_zone: TimeZone
    grace: Grace
    remind_every: RemindEvery
    note: Note
    created_at: Annotated[datetime, Field(description="When it was made (UTC).", examples=[TIME_EXAMPLE])]
    updated_at: Annotated[datetime, Field(description="When it was last written (UTC).", examples=[TIME_EXAMPLE])]
    updated_by: Annotated[
        str | None,
        Field(description="Who wrote it last: the `sub` of the token.", examples=["caretaker@example.com"]),
    ]


def is_of_all(policy: Policy | PolicyBody) -> bool:
    """Whether it is not of one property, or of one meter in it."""
    return policy.installation_id is None and policy.property_id is None
