"""The part of the AsyncAPI document on what gateways publish: readings, and telegrams of wmbusmeters."""

from collections.abc import Callable
from dataclasses import dataclass

from shared import topology
from shared.asyncapi.document import AMQP_SERVERS, MQTT_SERVERS, Json, Part, schemas_of
from shared.messages.gateway import MAX_MESSAGE_BYTES, GatewayMessage, GatewayReading
from shared.messages.wmbus import WmbusTelegram
from shared.topology import GatewayFormat

PARAMETERS: Json = {
    "gateway_id": {"description": "The gateway's id, which is its user name too.", "examples": ["GW-0001"]}
}


@dataclass(frozen=True)
class _Way:
    """A protocol: its name in the names of channels, its servers, and what is peculiar to it."""

    name: str
    servers: list[Json]
    address_of: Callable[[str], str]
    channel: Json
    operation: Json


WAYS = (
    _Way(
        "Amqp",
        AMQP_SERVERS,
        str,
        {
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": {"name": topology.GATEWAYS, "type": "topic", "durable": True, "autoDelete": False},
                    "bindingVersion": "0.3.0",
                }
            }
        },
        {"amqp": {"deliveryMode": 2, "mandatory": True, "ack": True, "bindingVersion": "0.3.0"}},
    ),
    _Way(
        "Mqtt", MQTT_SERVERS, topology.mqtt_topic, {}, {"mqtt": {"qos": 1, "retain": False, "bindingVersion": "0.2.0"}}
    ),
)

READING = {
    "installation_id": "7f6c5a3e-2f5e-4b0e-9a53-3f3d0a8f4c11",
    "timestamp": "2026-11-01T05:00:00Z",
    "value": 1234.567,
    "rssi_dbm": -71,
    "battery_level_pct": 96,
}
BY_SERIAL = {"meter_serial": "71440145", "timestamp": "2026-11-01T05:00:00Z", "value": 88.1}
TELEGRAM = {
    "media": "water",
    "meter": "multical21",
    "name": "Kitchen",
    "id": "12345678",
    "total_m3": 5.548,
    "timestamp": "2026-11-01T05:00:00Z",
    "rssi_dbm": -71,
}


@dataclass(frozen=True)
class _Content:
    """A format of messages: what it is called, and its payload."""

    name: str
    title: str
    summary: str
    payload: Json
    examples: dict[str, object]


CONTENTS = {
    GatewayFormat.READINGS: _Content(
        "readings",
        "Readings",
        "A batch of readings, one reading, or a list of them.",
        {
            "anyOf": [
                {"$ref": "#/components/schemas/GatewayMessage"},
                {"$ref": "#/components/schemas/GatewayReading"},
                {"type": "array", "items": {"$ref": "#/components/schemas/GatewayReading"}},
            ]
        },
        {
            "A batch": {"gateway_id": "GW-0001", "sent_at": "2026-11-01T06:00:12Z", "readings": [READING, BY_SERIAL]},
            "One reading": BY_SERIAL,
            "A list": [READING, BY_SERIAL],
        },
    ),
    GatewayFormat.WMBUS: _Content(
        "wmbusTelegrams",
        "Telegrams of wmbusmeters",
        "A telegram as wmbusmeters writes it, or a list of them (docs/wmbusmeters.md).",
        {
            "anyOf": [
                {"$ref": "#/components/schemas/WmbusTelegram"},
                {"type": "array", "items": {"$ref": "#/components/schemas/WmbusTelegram"}},
            ]
        },
        {"A telegram": TELEGRAM},
    ),
}

GUARANTEE = (
    "Repeat a message until the broker has confirmed it (AMQP: basic.ack, and no basic.return; MQTT: PUBACK with"
    " success): the same readings twice do no harm. A reading that cannot be stored is kept with the reason, and the"
    f" others in its message are stored. A message has at most {MAX_MESSAGE_BYTES} bytes."
)


def gateway_messages() -> Part:
    """Channels over AMQP and MQTT, with their operations, messages and schemas."""
    schemas = schemas_of(GatewayMessage, GatewayReading, WmbusTelegram)
    # What the type cannot say.
    schemas["GatewayReading"]["anyOf"] = [{"required": ["installation_id"]}, {"required": ["meter_serial"]}]
    part = Part(schemas=schemas)
    for content, it in CONTENTS.items():
        part.messages[it.name] = {
            "name": it.name,
            "title": it.title,
            "summary": it.summary,
            "contentType": "application/json",
            "payload": it.payload,
            "examples": [{"name": name, "payload": payload} for name, payload in it.examples.items()],
        }
        for way in WAYS:
            _add_channel(part, it, way, address=way.address_of(topology.gateway_key("{gateway_id}", content)))
    return part


def _add_channel(part: Part, content: _Content, way: _Way, *, address: str) -> None:
    name = f"{content.name}{way.name}"
    part.channels[name] = {
        "address": address,
        "title": content.title,
        "servers": way.servers,
        "parameters": PARAMETERS,
        "messages": {content.name: {"$ref": f"#/components/messages/{content.name}"}},
        **way.channel,
    }
    part.operations[f"receive{name[0].upper()}{name[1:]}"] = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "title": content.title,
        "description": GUARANTEE,
        "messages": [{"$ref": f"#/channels/{name}/messages/{content.name}"}],
        "bindings": way.operation,
    }
