"""The query parameters that choose installations, and what they mean together."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.query.api.search_text import search_text
from services.query.queries.installation_filters import InstallationFilters
from shared.http.fields import GATEWAY_EXAMPLE, PROPERTY_EXAMPLE, UNIT_EXAMPLE
from shared.http.repeated import TIMES_MAX, GatewayId
from shared.models import InstallationState, Medium


async def which_installations(
    property_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="In one of these properties.", examples=[[PROPERTY_EXAMPLE]]),
    ] = (),
    unit_id: Annotated[
        tuple[UUID, ...], Query(max_length=TIMES_MAX, description="In one of these units.", examples=[[UNIT_EXAMPLE]])
    ] = (),
    gateway_id: Annotated[
        tuple[GatewayId, ...],
        Query(
            max_length=TIMES_MAX,
            description="Expected to be heard by one of these gateways.",
            examples=[[GATEWAY_EXAMPLE]],
        ),
    ] = (),
    medium: Annotated[tuple[Medium, ...], Query(max_length=TIMES_MAX, description="Measuring one of these.")] = (),
    q: Annotated[
        str, search_text("With this text in the serial or the property's name or address, whatever its case.")
    ] = "",
) -> InstallationFilters:
    """The filters of every list of installations. Each may be repeated: one is enough, and all kinds must hold."""
    return InstallationFilters(
        media=frozenset(medium),
        property_ids=frozenset(property_id),
        unit_ids=frozenset(unit_id),
        gateway_ids=frozenset(gateway_id),
        text=q.strip(),
    )


State = Annotated[tuple[InstallationState, ...], Query(max_length=TIMES_MAX, description="In one of these states.")]
Stale = Annotated[bool | None, Query(description="In the state `stale`, or in any other.")]


def which_states(state: tuple[InstallationState, ...], *, stale: bool | None) -> frozenset[InstallationState] | None:
    """The states that both parameters leave; None when neither was given."""
    if not state and stale is None:
        return None
    named = state or InstallationState
    return frozenset(one for one in named if stale is None or (one is InstallationState.STALE) == stale)
