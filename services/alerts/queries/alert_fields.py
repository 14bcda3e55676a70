"""What the answers about alerts are made of: what each part is, in which unit, and an example of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.http.fields import (
    GATEWAY_EXAMPLE,
    TIME_EXAMPLE,
    InstallationId,
    LatestReading,
    MeterSerial,
    PropertyAddress,
    PropertyId,
    PropertyName,
    UnitId,
    UnitLabel,
)
from shared.models import Medium, UnitOfMeasure

ALERT_EXAMPLE = "5b0f6f0e-8d55-4a0e-9a6b-0d1c7a1f3e52"
WHO_EXAMPLE = "caretaker@example.com"
NOTE_EXAMPLE = "The battery is on its way."
SNOOZED_EXAMPLE = "2026-11-10T07:00:00Z"
DUE_EXAMPLE = "2026-11-03T05:00:00Z"

AlertId = Annotated[UUID, Field(description="The alert's id.", examples=[ALERT_EXAMPLE])]
Since = Annotated[
    datetime,
    Field(
        description="When the silence began (UTC): at the last reading, or message of the gateway, or at what else it"
        " counts from.",
        examples=[TIME_EXAMPLE],
    ),
]
OpenedAt = Annotated[datetime, Field(description="When the alert was raised (UTC).", examples=[DUE_EXAMPLE])]
ClosedAt = Annotated[
    datetime | None,
    Field(description="When it ended (UTC); null while it is open.", examples=["2026-11-04T07:10:03.25Z"]),
]

GatewayId = Annotated[str, Field(description="The gateway's id.", examples=[GATEWAY_EXAMPLE])]
GatewayName = Annotated[str, Field(description="What it is called.", examples=["In the cellar"])]
LastHeardAt = Annotated[
    datetime | None,
    Field(description="When its newest message arrived (UTC); null where none ever did.", examples=[TIME_EXAMPLE]),
]


@dataclass(slots=True)
class InstallationOfAlert:
    """The meter that is silent: what a person needs to find it."""

    id: InstallationId
    meter_serial: MeterSerial
    medium: Medium
    unit_of_measure: Annotated[UnitOfMeasure, Field(description="What its values are in.", examples=["kWh"])]
    gateway_id: Annotated[
        str | None,
        Field(description="The gateway that is expected to hear it; null where none is.", examples=[GATEWAY_EXAMPLE]),
    ]
    property_id: PropertyId
    property_name: PropertyName
    property_address: PropertyAddress
    unit_id: UnitId
    unit_label: UnitLabel
    latest_reading: Annotated[
        LatestReading | None, Field(description="The newest one that there is by now; null where it was never heard.")
    ]


@dataclass(slots=True)
class GatewayOfAlert:
    """The gateway that is silent: what a person needs to find it."""

    id: GatewayId
    name: GatewayName
    last_heard_at: LastHeardAt
    installations: Annotated[int, Field(description="How many meters are expected to be heard by it.", examples=[48])]
    addresses: Annotated[
        list[str], Field(description="Where these are; the first ten.", examples=[["Havnegade 12, 8000 Aarhus C"]])
    ]


@dataclass(slots=True)
class Acknowledgement:
    """Somebody has seen it."""

    at: Annotated[datetime, Field(description="When (UTC).", examples=["2026-11-03T07:30:00Z"])]
    by: Annotated[str, Field(description="Who: the `sub` of the token.", examples=[WHO_EXAMPLE])]
    note: Annotated[str | None, Field(description="What they had to say; null for nothing.", examples=[NOTE_EXAMPLE])]


@dataclass(slots=True)
class Snooze:
    """Somebody wants to hear nothing of it for a while."""

    until: Annotated[datetime, Field(description="How long (UTC).", examples=[SNOOZED_EXAMPLE])]
    by: Annotated[str, Field(description="Who: the `sub` of the token.", examples=[WHO_EXAMPLE])]
