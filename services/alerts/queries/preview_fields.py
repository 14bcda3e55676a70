"""What a preview of a policy answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.alerts.queries.alert_fields import GatewayId, GatewayName, LastHeardAt
from shared.http.fields import (
    TIME_EXAMPLE,
    InstallationId,
    MeterSerial,
    PropertyAddress,
    PropertyId,
    PropertyName,
    UnitLabel,
)
from shared.models import Medium


@dataclass(slots=True)
class PreviewedInstallation:
    """A meter whose state would be another."""

    id: InstallationId
    meter_serial: MeterSerial
    medium: Medium
    property_id: PropertyId
    property_name: PropertyName
    property_address: PropertyAddress
    unit_label: UnitLabel
    last_reading_at: Annotated[
        datetime | None,
        Field(
            description="The time of its newest reading (UTC); null where it was never heard.", examples=[TIME_EXAMPLE]
        ),
    ]


@dataclass(slots=True)
class PreviewedGateway:
    """A gateway whose state would be another."""

    id: GatewayId
    name: GatewayName
    last_heard_at: LastHeardAt


@dataclass(slots=True)
class PreviewedInstallations:
    """Meters whose state would be another: how many, and some of them."""

    count: Annotated[int, Field(description="How many.", examples=[1])]
    sample: Annotated[list[PreviewedInstallation], Field(description="Ten at most, the longest silent first.")]


@dataclass(slots=True)
class PreviewedGateways:
    """Gateways whose state would be another: how many, and some of them."""

    count: Annotated[int, Field(description="How many.", examples=[1])]
    sample: Annotated[list[PreviewedGateway], Field(description="Ten at most, the longest silent first.")]


@dataclass(slots=True)
class Preview:
    """What a change of a policy would make of the meters for which it holds, now or then, and of their gateways."""

    installations: Annotated[int, Field(description="For how many meters it holds, now or then.", examples=[120])]
    becoming_stale: Annotated[
        PreviewedInstallations,
        Field(description="Those that would be stale, and reported: each gets an alert, of which nobody is told."),
    ]
    suppressed: Annotated[
        PreviewedInstallations,
        Field(
            description="Those that are not stale and would be, and get no alert: all of their gateways are silent, or"
            " would be."
        ),
    ]
    no_longer_stale: Annotated[
        PreviewedInstallations,
        Field(description="Those that are stale and would not be. Where one has an alert, that ends."),
    ]
    gateways_becoming_silent: Annotated[
        PreviewedGateways,
        Field(
            description="Those that would be silent, since the shortest limit of their meters would be shorter: each"
            " gets an alert, of which nobody is told."
        ),
    ]
    gateways_no_longer_silent: Annotated[
        PreviewedGateways,
        Field(
            description="Those that are silent and would not be: their alerts end, and those of their meters that have"
            " none are judged afresh."
        ),
    ]
