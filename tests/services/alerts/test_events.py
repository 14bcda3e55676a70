"""What an event says, by its type; and that what reads events reads each of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from services.alerts.events import gateway_event, installation_event, pipeline_event
from services.alerts.queries.subjects import Subject
from services.alerts.rules.limits import Limit
from services.alerts.rules.staleness import Silence
from shared import topology
from shared.messages.alert_events import (
    AlertEvent,
    AlertEventType,
    GatewayAlert,
    InstallationAlert,
    LastReading,
    PipelineAlert,
    PipelineCause,
    decode,
)
from shared.models import InstallationState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEFORE = NOON - timedelta(days=3)
ALERT = UUID(int=1)
GATEWAY = GatewayAlert(
    alert_id=ALERT,
    tenant_id=UUID(int=2),
    gateway_id="GW-0001",
    gateway_name="In the cellar",
    installations=24,
    properties=1,
    addresses=["Havnegade 12, 8000 Aarhus C"],
    since=BEFORE,
    silent_since=BEFORE,
    last_heard_at=BEFORE,
)
PIPELINE = PipelineAlert(
    since=BEFORE, cause=PipelineCause.BEHIND, reason="ingest does not consume", judged_until=BEFORE
)


def installation(
    kind: AlertEventType, *, heard_at: datetime | None, ended_at: datetime | None = None
) -> InstallationAlert:
    """What is told of an installation whose silence began at `BEFORE`."""
    last = None
    if heard_at is not None:
        last = LastReading(timestamp=heard_at, value=1.5, rssi_dbm=None, battery_level_pct=None)
    subject = Subject(
        installation_id=UUID(int=3),
        tenant_id=UUID(int=2),
        meter_serial="99000001",
        medium="water",
        unit_of_measure="m3",
        property_id=UUID(int=4),
        property_name="Havnegade 12",
        address="Havnegade 12, 8000 Aarhus C",
        unit_label="Kælder",
        expected_gateway_id=None,
        last_gateway_id="GW-0001",
        last_reading=last,
        last_received_at=heard_at,
        due_at=None,
        alert_id=ALERT,
        silence=Silence(
            state=InstallationState.STALE,
            state_since=NOON,
            installed_at=BEFORE,
            registered_at=BEFORE,
            deleted_at=None,
            last_reading_at=heard_at,
            judged_from=None,
            rules_changed_at=None,
            alerted=False,
            limit=Limit(timedelta(hours=48)),
        ),
    )
    event = installation_event(kind, subject, alert_id=ALERT, silent_since=BEFORE, ended_at=ended_at, now=NOON)
    assert (event.type, event.time, event.data.alert_id) == (kind.value, NOON, ALERT)
    return event.data


def test_a_silence_is_since_it_began_and_a_recovery_since_the_reading_that_ended_it() -> None:
    stale, recovered = AlertEventType.INSTALLATION_STALE, AlertEventType.INSTALLATION_RECOVERED
    # Its gateway was silent, too, until `BEFORE`: silence counts from there, not from the reading.
    silent = installation(stale, heard_at=BEFORE - timedelta(days=1))
    assert (silent.since, silent.silent_since) == (BEFORE, BEFORE)
    never = installation(stale, heard_at=None)
    assert (never.since, never.last_reading) == (BEFORE, None)
    first = NOON - timedelta(hours=2)
    again = installation(recovered, heard_at=NOON, ended_at=first)
    assert (again.since, again.silent_since) == (first, BEFORE)


@pytest.mark.parametrize(
    "event",
    [
        gateway_event(AlertEventType.GATEWAY_SILENT, GATEWAY, now=NOON),
        gateway_event(AlertEventType.GATEWAY_RECOVERED, GATEWAY, now=NOON),
        pipeline_event(AlertEventType.PIPELINE_DEGRADED, PIPELINE, now=NOON),
        pipeline_event(AlertEventType.PIPELINE_RECOVERED, PIPELINE, now=NOON),
    ],
    ids=lambda event: event.type,
)
def test_each_is_read_as_what_it_is(event: AlertEvent) -> None:
    assert decode(msgspec.json.encode(event)) == event


def test_two_events_have_two_ids() -> None:
    first, second = (pipeline_event(AlertEventType.PIPELINE_DEGRADED, PIPELINE, now=NOON) for _ in range(2))
    assert first.id != second.id


def test_what_is_of_no_known_type_is_no_alert_event() -> None:
    with pytest.raises(msgspec.ValidationError, match="no type of alert events"):
        decode(b'{"id": "1", "source": "/", "type": "meter.stolen", "time": "2026-11-22T12:00:00Z", "data": {}}')


def test_events_of_the_pipeline_go_to_operators() -> None:
    assert topology.alert_key(UUID(int=2), "gateway.silent") == f"{UUID(int=2)}.gateway.silent"
    assert topology.alert_key(None, "pipeline.degraded") == "operator.pipeline.degraded"
