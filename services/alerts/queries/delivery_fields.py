"""Deliveries as they are answered: what each field is, in which unit, and an example of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from services.alerts.queries.alert_fields import ALERT_EXAMPLE
from services.alerts.queries.subscription_fields import SUBSCRIPTION_EXAMPLE
from services.alerts.queries.window_fields import WINDOW_EXAMPLE
from shared.models import DroppedBecause

DELIVERY_EXAMPLE = "8f2b7c1a-4f0e-4d0e-8a5b-0c9d6e1f2a34"
MADE_EXAMPLE = "2026-11-03T05:00:00.412Z"
TRIED_EXAMPLE = "2026-11-03T05:00:31.07Z"
EVENT_EXAMPLE = {
    "specversion": "1.0",
    "id": "b7d2f4de-6d0f-4b35-9f9c-0f5f8a0f7a43",
    "source": "/mbus/alerts",
    "type": "installation.stale",
    "time": MADE_EXAMPLE,
    "datacontenttype": "application/json",
    "data": {"alert_id": ALERT_EXAMPLE, "meter_serial": "71440145"},
}
"""Shortened: docs/alerts.md has a whole one."""


class DeliveryState(StrEnum):
    """Whether a delivery is still to arrive, has arrived, or is tried no more."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DROPPED = "dropped"


class DeliveredType(StrEnum):
    """The types of events that subscriptions are sent."""

    INSTALLATION_STALE = "installation.stale"
    INSTALLATION_RECOVERED = "installation.recovered"
    INSTALLATION_REMINDER = "installation.reminder"
    GATEWAY_SILENT = "gateway.silent"
    GATEWAY_RECOVERED = "gateway.recovered"
    GATEWAY_REMINDER = "gateway.reminder"
    SUBSCRIPTION_TEST = "subscription.test"
    SUBSCRIPTION_DISABLED = "subscription.disabled"


@dataclass(slots=True)
class Delivery:
    """One event on its way to one subscription."""

    id: Annotated[
        UUID,
        Field(
            description="The delivery's id. A webhook sees it as `webhook-id` where the event came alone.",
            examples=[DELIVERY_EXAMPLE],
        ),
    ]
    subscription_id: Annotated[UUID, Field(description="To which subscription.", examples=[SUBSCRIPTION_EXAMPLE])]
    alert_id: Annotated[
        UUID | None,
        Field(description="The alert that it tells of; null where it is of none.", examples=[ALERT_EXAMPLE]),
    ]
    event_type: Annotated[str, Field(description="What happened.", examples=["installation.stale"])]
    event: Annotated[
        dict[str, Any],
        Field(description="The event itself, as a webhook gets it: a CloudEvent.", examples=[EVENT_EXAMPLE]),
    ]
    state: Annotated[
        DeliveryState,
        Field(description="`pending`: it is still to arrive; `delivered`; `dropped`: it is tried no more."),
    ]
    created_at: Annotated[datetime, Field(description="When the event was made (UTC).", examples=[MADE_EXAMPLE])]
    attempts: Annotated[int, Field(description="How many failed, since it was last asked for.", ge=0, examples=[2])]
    next_attempt_at: Annotated[
        datetime | None,
        Field(
            description="When it is tried next (UTC), at the earliest; null unless pending.", examples=[TRIED_EXAMPLE]
        ),
    ]
    last_attempt_at: Annotated[
        datetime | None, Field(description="When it was last tried (UTC); null before.", examples=[TRIED_EXAMPLE])
    ]
    last_status: Annotated[
        int | None,
        Field(description="What the receiver answered then: its code; null where it gave none.", examples=[503]),
    ]
    last_error: Annotated[
        str | None,
        Field(description="Why that failed, for people; null where it did not.", examples=["the answer was 503"]),
    ]
    delivered_at: Annotated[
        datetime | None, Field(description="When it arrived (UTC); null before.", examples=[TRIED_EXAMPLE])
    ]
    dropped_at: Annotated[
        datetime | None, Field(description="When it was given up (UTC); null where it was not.", examples=[None])
    ]
    dropped_because: Annotated[
        DroppedBecause | None,
        Field(
            description="`gave_up`: it was tried for too long; `disabled`: the subscription was disabled;"
            " `maintenance`: a maintenance window held it, and what it tells of was over then; `over`: what it reminds"
            " of was over, or somebody had seen it. null where it was not dropped.",
            examples=[None],
        ),
    ]
    digest_id: Annotated[
        UUID | None,
        Field(
            description="The id under which it goes out, of a webhook its `webhook-id`: that of the first delivery of"
            " its digest, or its own where it goes out alone. null before it is on its way.",
            examples=[DELIVERY_EXAMPLE],
        ),
    ]
    held_by: Annotated[
        UUID | None,
        Field(description="The maintenance window for whose end it waits; null for none.", examples=[WINDOW_EXAMPLE]),
    ]
