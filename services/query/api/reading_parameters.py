"""The query parameters that choose readings: of which installations, and of which time."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from shared.http.fields import INSTALLATION_EXAMPLE, PROPERTY_EXAMPLE, TIME_EXAMPLE, UNIT_EXAMPLE
from shared.http.repeated import TIMES_MAX
from shared.http.times import Time
from shared.models import Medium

OfInstallation = Annotated[
    tuple[UUID, ...],
    Query(max_length=TIMES_MAX, description="Whose readings; can be repeated.", examples=[[INSTALLATION_EXAMPLE]]),
]
OfProperty = Annotated[
    tuple[UUID, ...],
    Query(
        max_length=TIMES_MAX,
        description="Of installations in this property, or in these.",
        examples=[[PROPERTY_EXAMPLE]],
    ),
]
OfUnit = Annotated[
    tuple[UUID, ...],
    Query(max_length=TIMES_MAX, description="Of installations in this unit, or in these.", examples=[[UNIT_EXAMPLE]]),
]
OfMedium = Annotated[tuple[Medium, ...], Query(max_length=TIMES_MAX, description="Of installations that measure this.")]
After = Annotated[Time | None, Query(description="Only readings later than this time.", examples=[TIME_EXAMPLE])]
Before = Annotated[Time | None, Query(description="Only readings earlier than this time.", examples=[TIME_EXAMPLE])]
