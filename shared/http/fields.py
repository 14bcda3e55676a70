"""Fields that several answers have: what each is, in which unit, and an example for the OpenAPI document."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

INSTALLATION_EXAMPLE = "e9da63da-76db-4171-8f0e-bfb7d99f5699"
PROPERTY_EXAMPLE = "3d1f9a5e-0c41-4c55-9b0a-6f1f4f0d2b7c"
UNIT_EXAMPLE = "a4c6f2d8-5b1e-4a67-8f1d-2f9b8f2f6d10"
GATEWAY_EXAMPLE = "GW-0001"
TIME_EXAMPLE = "2026-11-01T05:00:00Z"

InstallationId = Annotated[UUID, Field(description="The installation's id.", examples=[INSTALLATION_EXAMPLE])]
MeterSerial = Annotated[
    str, Field(description="As it stands on the meter, with its leading zeros.", examples=["71440145"])
]
PropertyId = Annotated[UUID, Field(description="The property's id.", examples=[PROPERTY_EXAMPLE])]
PropertyName = Annotated[str, Field(description="What the property is called.", examples=["Havnegade 12"])]
PropertyAddress = Annotated[
    str, Field(description="Where the property is, as it was registered.", examples=["Havnegade 12, 8000 Aarhus C"])
]
UnitId = Annotated[UUID, Field(description="The unit's id.", examples=[UNIT_EXAMPLE])]
UnitLabel = Annotated[str, Field(description="What the flat or room is called in its property.", examples=["1. tv"])]

MeasuredAt = Annotated[
    datetime, Field(description="When the meter showed it, as its gateway says (UTC).", examples=[TIME_EXAMPLE])
]
ReceivedAt = Annotated[
    datetime, Field(description="When its transmission arrived here (UTC).", examples=["2026-11-01T05:00:12.504Z"])
]
Value = Annotated[
    float, Field(description="What it showed, in the installation's `unit_of_measure`.", examples=[1234.567])
]
RssiDbm = Annotated[
    int | None,
    Field(
        description="How strong the radio signal was at the gateway, in dBm: the nearer to 0, the stronger. null where"
        " the gateway does not say.",
        examples=[-71],
    ),
]
BatteryLevelPct = Annotated[
    int | None,
    Field(description="What is left of the meter's battery, in percent; null where it does not say.", examples=[96]),
]


@dataclass(slots=True)
class LatestReading:
    """The newest reading by its own timestamp."""

    timestamp: MeasuredAt
    value: Value
    rssi_dbm: RssiDbm
    battery_level_pct: BatteryLevelPct
