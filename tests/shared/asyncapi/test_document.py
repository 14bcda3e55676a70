"""The AsyncAPI document says what is so: ingest takes its examples, alerts tells as it says, under its addresses."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from services.ingest.payload import parse
from services.ingest.reasons import Refused
from services.ingest.wmbus import telegrams
from shared import topology
from shared.asyncapi.document import Part, make_document
from shared.asyncapi.published import published_document
from shared.messages.alert_events import AlertEventType, decode
from tests.cli.commands import mbus

DOCUMENT: dict[str, Any] = json.loads(published_document())
KEPT = Path(__file__).parents[3] / "docs" / "asyncapi.json"


def at(reference: str) -> Any:
    """What a reference within the document points to."""
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name.replace("~1", "/")]
    return found


def references(within: object) -> list[str]:
    if isinstance(within, dict):
        here = [within["$ref"]] if "$ref" in within else []
        return here + [it for value in within.values() for it in references(value)]
    return [it for value in within for it in references(value)] if isinstance(within, list) else []


def validator(message: str) -> jsonschema.Draft7Validator:
    schema = {**DOCUMENT, "$ref": f"#/components/messages/{message}/payload"}
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


def examples(action: str) -> list[tuple[str, Any]]:
    """The examples of messages that the back end receives, or sends."""
    of = {it["messages"][0]["$ref"].rpartition("/")[2] for it in operations(action)}
    messages = DOCUMENT["components"]["messages"]
    return [(name, example["payload"]) for name in sorted(of) for example in messages[name]["examples"]]


def operations(action: str) -> list[dict[str, Any]]:
    return [it for it in DOCUMENT["operations"].values() if it["action"] == action]


def test_it_is_an_asyncapi_document_whose_references_lead_somewhere() -> None:
    # FastStream's model wants a path in every server; the specification does not.
    servers = {name: {"pathname": "/", **server} for name, server in DOCUMENT["servers"].items()}
    assert ApplicationSchema.model_validate({**DOCUMENT, "servers": servers}).asyncapi == "3.0.0"
    assert all(at(reference) for reference in references(DOCUMENT))
    jsonschema.Draft7Validator.check_schema({"definitions": DOCUMENT["components"]["schemas"]})


def test_the_one_in_docs_is_current() -> None:
    assert KEPT.read_bytes() == published_document(), "`make asyncapi` writes it anew"


@pytest.mark.parametrize(("message", "payload"), examples("receive"))
def test_each_example_is_as_its_schema_says_and_ingest_takes_it(message: str, payload: object) -> None:
    validator(message).validate(payload)
    body = json.dumps(payload).encode()
    taken = parse(body).readings if message == "readings" else telegrams.parse(body).telegrams
    assert taken
    assert not any(isinstance(it, Refused) for it in taken)


@pytest.mark.parametrize(
    "payload",
    [
        {"readings": [{"meter_serial": "1", "timestamp": "2026-11-01T05:00:00Z", "value": "12"}]},
        {"readings": [{"meter_serial": 71440145, "timestamp": "2026-11-01T05:00:00Z", "value": 12}]},
        {"readings": [{"timestamp": "2026-11-01T05:00:00Z", "value": 12}]},
        {"readings": [{"meter_serial": "1", "value": 12}]},
        {"gateway_id": "a.b", "readings": []},
        {"readings": {}},
        {"meter_serial": "1", "timestamp": "2026-11-01T05:00:00Z", "value": 1, "battery_level_pct": 101},
        "text",
    ],
)
def test_the_schema_refuses_what_would_be_kept_aside(payload: object) -> None:
    assert not validator("readings").is_valid(payload)


def test_each_address_is_one_that_the_queue_is_bound_to_over_amqp_and_mqtt() -> None:
    bound = {binding.pattern for binding in topology.INGEST_QUEUE.bindings}
    over: dict[str, set[str]] = {"amqp": set(), "mqtt": set()}
    for channel in (at(it["channel"]["$ref"]) for it in operations("receive")):
        assert re.findall(r"{(\w+)}", channel["address"]) == list(channel["parameters"]) == ["gateway_id"]
        protocol = at(channel["servers"][0]["$ref"])["protocol"]
        over[protocol].add(channel["address"].replace("{gateway_id}", "*"))
    assert over["amqp"] == bound
    assert over["mqtt"] == {topology.mqtt_topic(pattern) for pattern in bound}


@pytest.mark.parametrize(("message", "payload"), examples("send"))
def test_each_example_of_an_alert_event_is_as_its_schema_says_and_is_read_as_one(message: str, payload: Any) -> None:
    validator(message).validate(payload)
    told = decode(json.dumps(payload).encode())
    assert json.loads(msgspec.json.encode(told)) == payload
    for name in ("id", "specversion", "data"):
        assert not validator(message).is_valid({key: value for key, value in payload.items() if key != name})
    assert not validator(message).is_valid({**payload, "type": "installation.stolen"})
    for name in payload["data"]:
        data = {key: value for key, value in payload["data"].items() if key != name}
        assert not validator(message).is_valid({**payload, "data": data})


def test_each_type_of_alert_event_is_there_under_the_key_that_it_is_published_with() -> None:
    addresses = {}
    for operation in operations("send"):
        channel = at(operation["channel"]["$ref"])
        assert re.findall(r"{(\w+)}", channel["address"]) == list(channel.get("parameters", []))
        (message,) = operation["messages"]
        example = at(at(message["$ref"])["$ref"])["examples"][0]["payload"]
        addresses[example["type"]] = channel["address"]
    expected = {kind: topology.alert_key("{tenant_id}", kind) for kind in AlertEventType}
    pipeline = {kind: topology.alert_key(None, kind) for kind in AlertEventType if kind.startswith("pipeline")}
    assert addresses == expected | pipeline


def test_two_parts_may_share_a_schema_but_not_a_name_for_two() -> None:
    one = Part(schemas={"A": {"type": "string"}})
    assert make_document([one, one])["components"]["schemas"] == {"A": {"type": "string"}}
    with pytest.raises(ValueError, match="two parts of the document have another 'A'"):
        make_document([one, Part(schemas={"A": {"type": "number"}})])


async def test_the_command_prints_it_or_writes_it(tmp_path: Path) -> None:
    printed = await mbus("asyncapi", variables={})
    assert printed.out.encode() == published_document()
    await mbus("asyncapi", str(tmp_path / "it.json"), variables={})
    assert (tmp_path / "it.json").read_bytes() == published_document()
