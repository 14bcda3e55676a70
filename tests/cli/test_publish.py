"""`mbus publish`: a gateway message from a file reaches the queue of ingest."""

import json
from pathlib import Path

import pytest

from cli.publish import count_readings
from shared import topology
from shared.messages.gateway import MAX_MESSAGE_BYTES
from tests.cli.commands import mbus
from tests.support.messages import next_message, queue_length
from tests.support.vhosts import Vhost

READING = {"meter_serial": "71440145", "timestamp": "2026-11-01T05:00:00Z", "value": 88.1}


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ({"readings": [READING, READING]}, 2),
        ({"readings": []}, 0),
        ({"readings": 5}, 0),
        (READING, 1),
        ([READING] * 3, 3),
        (5, 0),
    ],
)
def test_the_readings_of_a_message_are_counted(message: object, count: int) -> None:
    assert count_readings(message) == count


async def test_a_file_is_published_as_it_is_under_its_gateways_key(vhost: Vhost, tmp_path: Path) -> None:
    body = json.dumps({"gateway_id": "GW-1", "readings": [READING, READING]}, indent=2).encode()
    (tmp_path / "batch.json").write_bytes(body)
    ended = await mbus("publish", str(tmp_path / "batch.json"), variables={"MBUS_BROKER_URL": vhost.url})
    assert (ended.code, ended.errors) == (0, "")
    assert ended.out == "The broker has taken 2 readings under gateways.GW-1.readings.\n"
    message = await next_message(vhost.url, topology.INGEST_READINGS)
    assert message.body == body
    assert message.routing_key == "gateways.GW-1.readings"
    assert message.content_type == "application/json"
    assert message.delivery_mode == 2


async def test_the_gateway_that_is_given_publishes_whatever_the_message_claims(vhost: Vhost) -> None:
    body = json.dumps({"gateway_id": "GW-1", **READING}).encode()
    ended = await mbus("publish", "-", "--gateway", "GW-2", stdin=body, variables={"MBUS_BROKER_URL": vhost.url})
    assert ended.out == "The broker has taken 1 reading under gateways.GW-2.readings.\n"


@pytest.mark.parametrize(
    ("body", "messages", "content"),
    [
        (b'{"id": "1",\n "total_m3": 5.548}\n', 1, "1 telegram"),
        (b'{"id": "1"}\n\n{"id": "2"}\r\n{"id": "3"}', 3, "3 telegrams"),
        (b'[{"id": "1"},\n{"id": "2"}]', 1, "2 telegrams"),
    ],
    ids=["one over several lines", "one a line", "a list"],
)
async def test_telegrams_of_wmbusmeters_are_published_as_it_publishes_them(
    vhost: Vhost, body: bytes, messages: int, content: str
) -> None:
    ended = await mbus(
        *("publish", "-", "--format", "wmbus", "--gateway", "GW-1"),
        stdin=body,
        variables={"MBUS_BROKER_URL": vhost.url},
    )
    assert ended.out == f"The broker has taken {content} under gateways.GW-1.wmbus.\n"
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == messages
    assert (await next_message(vhost.url, topology.INGEST_READINGS)).routing_key == "gateways.GW-1.wmbus"


async def test_what_is_no_json_is_published_only_when_that_was_said(vhost: Vhost) -> None:
    body = b'{"value": NaN}'
    refused = await mbus("publish", "-", "--gateway", "GW-1", stdin=body, variables={"MBUS_BROKER_URL": vhost.url})
    assert refused.code == 1
    assert refused.errors.startswith("mbus: - is no JSON: ")
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0
    taken = await mbus(
        "publish", "-", "--gateway", "GW-1", "--raw", stdin=body, variables={"MBUS_BROKER_URL": vhost.url}
    )
    assert taken.out == "The broker has taken 14 bytes under gateways.GW-1.readings.\n"
    assert (await next_message(vhost.url, topology.INGEST_READINGS)).body == body


@pytest.mark.parametrize(
    ("body", "arguments", "reason"),
    [
        (b"[]", (), "the message names no gateway_id; say which gateway with --gateway"),
        (b"x", ("--raw",), "the message names no gateway_id; say which gateway with --gateway"),
        (b'{"gateway_id": 5}', (), "the message names no gateway_id; say which gateway with --gateway"),
        (b"[]", ("--gateway", "a.b"), "the gateway id 'a.b' must be 1-64 letters, digits, hyphens and underscores"),
        (b" " * (MAX_MESSAGE_BYTES + 1), (), "- has 4194305 bytes, a message has at most 4194304 (--raw sends it)"),
    ],
)
async def test_what_cannot_be_published_is_refused_in_one_line(
    vhost: Vhost, body: bytes, arguments: tuple[str, ...], reason: str
) -> None:
    ended = await mbus("publish", "-", *arguments, stdin=body, variables={"MBUS_BROKER_URL": vhost.url})
    assert (ended.code, ended.errors) == (1, f"mbus: {reason}\n")


async def test_what_the_broker_refuses_is_one_line(vhost: Vhost) -> None:
    ended = await mbus(
        "publish", "-", "--gateway", "GW-1", stdin=b"[]", variables={"MBUS_BROKER_URL": vhost.alerts_url}
    )
    assert ended.code == 1
    assert ended.errors.startswith("mbus: the broker refused: ")
    assert ended.errors.count("\n") == 1


async def test_a_wrong_password_is_one_line_and_not_shown(vhost: Vhost) -> None:
    url = vhost.url_for(vhost.ingest_name, "secret-guess")
    ended = await mbus("publish", "-", "--gateway", "GW-1", stdin=b"[]", variables={"MBUS_BROKER_URL": url})
    assert ended.code == 1
    assert ended.errors.startswith("mbus: the broker refused the login in MBUS_BROKER_URL")
    assert ended.errors.count("\n") == 1
    assert "secret-guess" not in ended.errors
