"""Puts the AsyncAPI document together from parts, one for each family of messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

Json = dict[str, Any]

INFO: Json = {
    "title": "M-Bus Gateway back end",
    "version": "1",
    "description": "What gateways publish to the message broker, and what alerts publishes there for subscribers."
    " docs/gateway-protocol.md and docs/alerts.md tell the same with examples of programs.",
}

HOST: Json = {"host": {"default": "broker.example.com", "description": "The broker, as it is reached from outside."}}
LOGIN = [{"$ref": "#/components/securitySchemes/login"}]
SERVERS: Mapping[str, Json] = {
    "amqp": {"host": "{host}:5672", "protocol": "amqp", "protocolVersion": "0.9.1"},
    "amqps": {"host": "{host}:5671", "protocol": "amqps", "protocolVersion": "0.9.1", "description": "With TLS."},
    "mqtt": {"host": "{host}:1883", "protocol": "mqtt", "description": "MQTT 3.1.1; MQTT 5 from RabbitMQ 3.13 on."},
    "mqtts": {"host": "{host}:8883", "protocol": "secure-mqtt", "description": "With TLS."},
}
AMQP_SERVERS, MQTT_SERVERS = (
    [{"$ref": f"#/servers/{name}"} for name in names] for names in (("amqp", "amqps"), ("mqtt", "mqtts"))
)


@dataclass(frozen=True)
class Part:
    """What a family of messages adds to the document, each by its name in it."""

    channels: Json = field(default_factory=dict)
    operations: Json = field(default_factory=dict)
    messages: Json = field(default_factory=dict)
    schemas: Json = field(default_factory=dict)


def make_document(parts: Iterable[Part]) -> Json:
    """The whole document. `ValueError` when two parts use the same name for different things."""
    whole = Part()
    for part in parts:
        for kind in ("channels", "operations", "messages", "schemas"):
            _add(getattr(whole, kind), getattr(part, kind))
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "servers": {name: {**server, "variables": HOST, "security": LOGIN} for name, server in SERVERS.items()},
        "channels": whole.channels,
        "operations": whole.operations,
        "components": {
            "messages": whole.messages,
            "schemas": whole.schemas,
            "securitySchemes": {
                "login": {
                    "type": "userPassword",
                    "description": "The account that `mbus gateway add` makes, or `mbus subscriber add`.",
                }
            },
        },
    }


def schemas_of(*types: type) -> Json:
    """The JSON Schemas of msgspec types and of all that they hold, as components of the document."""
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return components


def _add(to: Json, more: Json) -> None:
    for name, it in more.items():
        if to.setdefault(name, it) != it:
            raise ValueError(f"two parts of the document have another {name!r}")
