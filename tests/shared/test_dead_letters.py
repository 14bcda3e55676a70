"""What of a message reaches its dead letter, whatever was in it."""

import json
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode

from shared import topology
from shared.dead_letters import EXCHANGE_HEADER, MOST_HEADER_BYTES, MOST_REASON_CHARACTERS, REASON_HEADER, headers_of
from tests.support.databases import Database
from tests.support.messages import next_message, open_channel, queue_length, writes_stamps
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

SENT_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "gateways.GW-1.readings"

ODD_HEADERS: dict[str, dict[str, Any]] = {
    "too large to add a reason": {f"h{number}": "x" * 4_000 for number in range(32)},
    "a list": {"a": [1, 2]},
    "a table": {"a": {"b": {"c": 1}}},
    "bytes": {"a": bytearray(b"\xff\xfe")},
    "a copy for others": {"CC": [KEY]},
    "a long name": {"n" * 128: 1},
    "nothing": {"a": None},
}


async def publish(vhost: Vhost, message: aio_pika.Message) -> None:
    async with open_channel(vhost.url) as channel:
        await (await channel.get_exchange(topology.GATEWAYS)).publish(message, KEY, timeout=10)


async def test_a_dead_letter_has_the_id_time_type_and_simple_headers_of_the_message(
    database: Database, vhost: Vhost
) -> None:
    headers: dict[str, Any] = {
        "text": "æøå",
        "number": -7,
        "big": 2**62,
        "yes": True,
        "at": SENT_AT,
        "none": None,
        "half": 0.5,
    }
    message = aio_pika.Message(
        b"junk", headers=headers, message_id="m-1", timestamp=SENT_AT, content_type="application/x-junk"
    )
    async with running_ingest(database, vhost):
        await publish(vhost, message)
        letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert (letter.body, letter.routing_key) == (b"junk", KEY)
    assert (letter.message_id, letter.content_type) == ("m-1", "application/x-junk")
    assert letter.timestamp == SENT_AT or await writes_stamps(vhost.url)
    assert letter.headers.items() >= headers.items()
    assert letter.headers[REASON_HEADER]
    assert letter.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


@pytest.mark.parametrize("odd", ODD_HEADERS)
async def test_odd_headers_do_not_keep_a_message_from_becoming_a_dead_letter(
    database: Database, vhost: Vhost, odd: str
) -> None:
    body = json.dumps(odd).encode()
    async with running_ingest(database, vhost):
        await publish(vhost, aio_pika.Message(body, headers=ODD_HEADERS[odd]))
        letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert letter.body == body
    assert letter.headers[REASON_HEADER]
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.lists(st.integers()),
)


@given(headers=st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES), reason=st.text(st.characters()))
def test_whatever_the_headers_and_the_reason_are_what_is_kept_can_be_sent(headers: dict[str, Any], reason: str) -> None:
    kept = headers_of(headers, reason=reason, exchange="gateways")
    assert REASON_HEADER in kept
    assert len(encode.field_table(kept)) <= MOST_HEADER_BYTES + 10 * MOST_REASON_CHARACTERS


def test_what_the_broker_would_not_take_is_left_out() -> None:
    refused = {"infinite": float("inf"), "long": "x" * MOST_HEADER_BYTES, "n" * 129: 1}
    assert headers_of(refused, reason="true", exchange="x") == {REASON_HEADER: "true", EXCHANGE_HEADER: "x"}


def test_what_is_not_the_senders_to_say_is_left_out() -> None:
    said = {"CC": "x", "BCC": "x", "x-delivery-count": 7, REASON_HEADER: "forged", EXCHANGE_HEADER: "alerts"}
    kept = headers_of(said, reason="true", exchange="x")
    assert kept == {REASON_HEADER: "true", EXCHANGE_HEADER: "x"}
