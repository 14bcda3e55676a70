"""The part of the AsyncAPI document on what alerts tells: events of installations, of gateways, and of the pipeline."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import msgspec

from shared import topology
from shared.asyncapi.document import AMQP_SERVERS, Json, Part, schemas_of
from shared.messages.alert_events import (
    SOURCE,
    AlertEvent,
    AlertEventType,
    GatewayAlert,
    GatewayAlertEvent,
    InstallationAlert,
    InstallationAlertEvent,
    LastReading,
    PipelineAlert,
    PipelineAlertEvent,
    PipelineCause,
)
from shared.messages.cloudevents import CONTENT_TYPE, CloudEvent

TENANT: Json = {
    "tenant_id": {
        "description": "The id of the tenant whose events these are.",
        "examples": ["2126473a-1e73-43fe-9425-f510b68788f1"],
    }
}
CHANNEL: Json = {
    "amqp": {
        "is": "routingKey",
        "exchange": {"name": topology.ALERTS, "type": "topic", "durable": True, "autoDelete": False},
        "bindingVersion": "0.3.0",
    }
}
OPERATION: Json = {"amqp": {"deliveryMode": 2, "mandatory": False, "ack": True, "bindingVersion": "0.3.0"}}

GUARANTEE = (
    "Bind a queue of your own to the exchange. An event is published until the broker has it, so the same one may come"
    " again: under the same id. Those of an alert come in their order (docs/alerts.md)."
)

READ_AT = datetime(2026, 11, 20, 13, 46, 30, tzinfo=UTC)
TOLD_AT = datetime(2026, 11, 22, 13, 46, 30, 412_000, tzinfo=UTC)
BACK_AT = datetime(2026, 11, 22, 18, 5, tzinfo=UTC)

INSTALLATION = InstallationAlert(
    alert_id=UUID("5c1d3b2e-8c7f-4f0e-9f4b-7a0c9f7d3a55"),
    tenant_id=UUID("2126473a-1e73-43fe-9425-f510b68788f1"),
    installation_id=UUID("e9da63da-76db-4171-8f0e-bfb7d99f5699"),
    meter_serial="99000001",
    medium="water",
    unit_of_measure="m3",
    property_id=UUID("0b8f5e0c-5d7a-4c39-8f1a-6d1f0a4c7e21"),
    property_name="Havnegade 12",
    address="Havnegade 12, 8000 Aarhus C",
    unit_label="Kælder",
    gateway_id="GW-0001",
    since=READ_AT,
    silent_since=READ_AT,
    last_reading=LastReading(timestamp=READ_AT, value=12.345, rssi_dbm=-71, battery_level_pct=None),
)
INSTALLATION_BACK = msgspec.structs.replace(
    INSTALLATION,
    since=BACK_AT,
    last_reading=LastReading(timestamp=BACK_AT, value=12.346, rssi_dbm=-70, battery_level_pct=None),
)
GATEWAY = GatewayAlert(
    alert_id=UUID("9e7a1f6d-2b57-4d0c-a1f3-0c5f8e6b7d42"),
    tenant_id=INSTALLATION.tenant_id,
    gateway_id="GW-0001",
    gateway_name="Havnegade, in the cellar",
    installations=24,
    properties=1,
    addresses=["Havnegade 12, 8000 Aarhus C"],
    since=READ_AT,
    silent_since=READ_AT,
    last_heard_at=READ_AT,
)
GATEWAY_BACK = msgspec.structs.replace(GATEWAY, since=BACK_AT, last_heard_at=BACK_AT)
PIPELINE = PipelineAlert(
    since=TOLD_AT,
    cause=PipelineCause.BEHIND,
    reason="what was accepted 31 s ago is not known to be stored: no ingest consumes",
    judged_until=TOLD_AT,
)


@dataclass(frozen=True)
class _Told:
    """A type of event: its name in the document, when it comes, its schema, and an example of what it says."""

    name: str
    title: str
    summary: str
    event: type[AlertEvent]
    example: InstallationAlert | GatewayAlert | PipelineAlert


TOLD = {
    AlertEventType.INSTALLATION_STALE: _Told(
        "installationStale",
        "A meter has gone silent",
        "No reading of it, by the reading's own time, for longer than its limit.",
        InstallationAlertEvent,
        INSTALLATION,
    ),
    AlertEventType.INSTALLATION_RECOVERED: _Told(
        "installationRecovered",
        "A silent meter is heard again",
        "A recent reading of it has come.",
        InstallationAlertEvent,
        INSTALLATION_BACK,
    ),
    AlertEventType.GATEWAY_SILENT: _Told(
        "gatewaySilent",
        "A gateway has gone silent",
        "No message of it for longer than its limit. Its meters raise no alerts while that lasts.",
        GatewayAlertEvent,
        GATEWAY,
    ),
    AlertEventType.GATEWAY_RECOVERED: _Told(
        "gatewayRecovered",
        "A silent gateway is heard again",
        "Its meters are judged afresh from then on.",
        GatewayAlertEvent,
        GATEWAY_BACK,
    ),
    AlertEventType.PIPELINE_DEGRADED: _Told(
        "pipelineDegraded",
        "Silence is not judged",
        "For operators: nothing is called silent, because a reading may be under way.",
        PipelineAlertEvent,
        PIPELINE,
    ),
    AlertEventType.PIPELINE_RECOVERED: _Told(
        "pipelineRecovered",
        "Silence is judged again",
        "For operators: what held judgement has ended, and the settle time has passed.",
        PipelineAlertEvent,
        PIPELINE,
    ),
}


def alert_messages() -> Part:
    """A channel, an operation and a message for each type, and their schemas."""
    part = Part(schemas=_schemas())
    for kind, told in TOLD.items():
        of_tenant = not isinstance(told.example, PipelineAlert)
        example = CloudEvent(
            id="0d7c9d9e-6a3c-4c55-8f5b-0d1b6f0a2b11", source=SOURCE, type=kind.value, time=TOLD_AT, data=told.example
        )
        part.messages[told.name] = {
            "name": told.name,
            "title": told.title,
            "summary": told.summary,
            "contentType": CONTENT_TYPE,
            "payload": {
                "allOf": [
                    {"$ref": f"#/components/schemas/{_name(told.event)}"},
                    {"type": "object", "properties": {"type": {"const": kind.value}}},
                ]
            },
            "examples": [{"name": told.title, "payload": msgspec.to_builtins(example)}],
        }
        part.channels[told.name] = {
            "address": topology.alert_key("{tenant_id}" if of_tenant else None, kind),
            "title": told.title,
            "servers": AMQP_SERVERS,
            **({"parameters": TENANT} if of_tenant else {}),
            "messages": {told.name: {"$ref": f"#/components/messages/{told.name}"}},
            "bindings": CHANNEL,
        }
        part.operations[f"send{told.name[0].upper()}{told.name[1:]}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{told.name}"},
            "title": told.title,
            "description": GUARANTEE,
            "messages": [{"$ref": f"#/channels/{told.name}/messages/{told.name}"}],
            "bindings": OPERATION,
        }
    return part


def _name(event: type[AlertEvent]) -> str:
    """What an event's schema is called, such as `InstallationAlertEvent`."""
    (data,) = get_args(event)
    return f"{data.__name__}Event"


def _schemas() -> Json:
    schemas: Json = {}
    for event in dict.fromkeys(told.event for told in TOLD.values()):
        for name, schema in schemas_of(event).items():
            if name.startswith("CloudEvent"):
                # What is published has them all.
                required = [it for it in schema["properties"] if not it.startswith("trace")]
                schemas[_name(event)] = {**schema, "title": _name(event), "required": required}
            else:
                schemas[name] = schema
    return schemas
