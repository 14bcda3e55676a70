"""The alert events: what a subscriber is told of a transition. Pure."""

from datetime import datetime
from uuid import UUID, uuid4

from services.alerts.queries.subjects import Subject
from shared.messages.alert_events import SOURCE, AlertEventType, InstallationAlert, InstallationAlertEvent


def alert_event(kind: AlertEventType, subject: Subject, *, alert_id: UUID, now: datetime) -> InstallationAlertEvent:
    """The event of a transition at `now`. It is made once, with its id, and published again as it is."""
    return InstallationAlertEvent(
        id=str(uuid4()),
        source=SOURCE,
        type=kind.value,
        time=now,
        data=InstallationAlert(
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
            since=subject.silence.silent_since,
            last_reading=subject.last_reading,
        ),
    )
