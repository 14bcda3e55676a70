"""The alert events: what a subscriber is told of a transition, and an operator of the pipeline. Pure.

Each is made once, with its id, in the transaction of its transition, and published again as it is.
"""

from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

from services.alerts.queries.subjects import Subject
from shared.messages.alert_events import (
    SOURCE,
    AlertEventType,
    GatewayAlert,
    GatewayAlertEvent,
    InstallationAlert,
    InstallationAlertEvent,
    PipelineAlert,
    PipelineAlertEvent,
)
from shared.messages.cloudevents import CloudEvent
from shared.messages.subscriber_events import SubscriberEventType

D = TypeVar("D")


def installation_event(
    kind: AlertEventType | SubscriberEventType,
    subject: Subject,
    *,
    alert_id: UUID,
    silent_since: datetime,
    ended_at: datetime | None = None,
    now: datetime,
) -> InstallationAlertEvent:
    """The event of an installation's transition at `now`, or that its silence lasts still.

    `silent_since` is when the silence of its alert began, `ended_at` the time of the reading that ended it.
    """
    told = InstallationAlert(
        alert_id=alert_id,
        tenant_id=subject.tenant_id,
        installation_id=subject.installation_id,
        meter_serial=subject.meter_serial,
        medium=subject.medium,
        unit_of_measure=subject.unit_of_measure,
        property_id=subject.property_id,
        property_name=subject.property_name,
        address=subject.address,
        unit_label=subject.unit_label,
        gateway_id=subject.gateway_id,
        since=ended_at or silent_since,
        silent_since=silent_since,
        last_reading=subject.last_reading,
    )
    return _event(kind, told, now)


def gateway_event(
    kind: AlertEventType | SubscriberEventType, told: GatewayAlert, *, now: datetime
) -> GatewayAlertEvent:
    """The event of a gateway's transition at `now`, or that its silence lasts still."""
    return _event(kind, told, now)


def pipeline_event(kind: AlertEventType, told: PipelineAlert, *, now: datetime) -> PipelineAlertEvent:
    """The event of judgement being held, or going on, from `now`."""
    return _event(kind, told, now)


def _event(kind: AlertEventType | SubscriberEventType, told: D, now: datetime) -> CloudEvent[D]:
    return CloudEvent(id=str(uuid4()), source=SOURCE, type=kind.value, time=now, data=told)
