"""What a body is read as, without broker or database."""

import json
import math
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.json_text import JsonText, NotJsonError
from services.ingest.payload import MAX_READINGS, NotAMessageError, Payload, SentReading, parse, read
from services.ingest.reasons import Reason, Refused

ID = UUID("7f6c0000-0000-4000-8000-000000000001")
GOOD = {"installation_id": str(ID), "timestamp": "2026-11-01T05:00:00Z", "value": 1234.567}


def reason_of(reading: object) -> Reason | None:
    verdict = read(reading)
    return verdict.reason if isinstance(verdict, Refused) else None


def test_the_example_of_the_protocol_is_read_whole() -> None:
    payload = parse(
        b'{"gateway_id": "GW-0001", "sent_at": "2026-11-01T06:00:12Z", "readings": ['
        b'{"installation_id": "7f6c0000-0000-4000-8000-000000000001", "timestamp": "2026-11-01T05:00:00Z",'
        b' "value": 1234.567, "rssi_dbm": -71, "battery_level_pct": 96, "unknown": {"a": [1]}},'
        b'{"meter_serial": "71440145", "timestamp": "2026-11-01T06:00:00+01:00", "value": 88, "rssi_dbm": null}]}'
    )
    assert payload.claimed_gateway == "GW-0001"
    assert payload.readings == [
        SentReading(
            timestamp="2026-11-01T05:00:00Z",
            value=1234.567,
            installation_id=str(ID),
            rssi_dbm=-71,
            battery_level_pct=96,
        ),
        SentReading(timestamp="2026-11-01T06:00:00+01:00", value=88, meter_serial="71440145"),
    ]


@pytest.mark.parametrize("body", [b'{"readings": []}', b"[]"])
def test_an_empty_list_is_a_message_without_readings(body: bytes) -> None:
    assert parse(body).readings == []


def test_a_reading_by_itself_and_a_list_are_messages_and_the_other_name_of_the_id_is_known() -> None:
    alone = {"meter_installation_id": str(ID), "timestamp": "2026-11-01T05:00:00Z", "value": 1, "gateway_id": "GW-1"}
    one, many = parse(json.dumps(alone).encode()), parse(json.dumps([alone, alone]).encode())
    assert one.claimed_gateway == "GW-1"
    assert many.claimed_gateway is None
    assert list(one.readings) * 2 == many.readings
    first = many.readings[0]
    assert isinstance(first, SentReading)
    assert first.meter_installation_id == str(ID)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": "12"}, Reason.INVALID_VALUE),
        ({"value": True}, Reason.INVALID_VALUE),
        ({"value": None}, Reason.INVALID_VALUE),
        ({"value": math.nan}, Reason.INVALID_VALUE),
        ({"value": -math.inf}, Reason.INVALID_VALUE),
        ({"value": 10**399}, Reason.INVALID_VALUE),
        ({"timestamp": "2026-11-01T05:00:00"}, Reason.NAIVE_TIMESTAMP),
        ({"timestamp": "2026-02-30T05:00:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2000-00-00T00:00:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": 1_762_000_000}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": None}, Reason.INVALID_TIMESTAMP),
        ({"installation_id": "7f6c"}, Reason.INVALID_INSTALLATION_ID),
        ({"installation_id": 5}, Reason.INVALID_INSTALLATION_ID),
        ({"meter_serial": 71440145}, Reason.INVALID_METER_SERIAL),
        ({"rssi_dbm": "-71"}, Reason.INVALID_RSSI),
        ({"battery_level_pct": False}, Reason.INVALID_BATTERY_LEVEL),
        ({"gateway_id": 7}, Reason.MALFORMED),
    ],
    ids=str,
)
def test_each_wrong_field_is_named_by_its_reason(changes: dict[str, object], reason: Reason) -> None:
    assert reason_of(GOOD | changes) is reason


@pytest.mark.parametrize("value", [None, 3, "x", [GOOD]], ids=repr)
def test_what_is_no_object_is_no_reading(value: object) -> None:
    assert reason_of(value) is Reason.NOT_AN_OBJECT


@pytest.mark.parametrize("value", [0, -0.001, 3e-06, 44922.222222, 10**17, 1.7976931348623157e308])
def test_every_finite_number_is_a_value_on_both_paths(value: float) -> None:
    fast = parse(json.dumps({"readings": [GOOD | {"value": value}]}).encode()).readings[0]
    slow = read(GOOD | {"value": value})
    assert fast == slow
    assert isinstance(fast, SentReading)
    assert fast.value == value


def test_odd_parts_cost_only_their_own_reading_and_originals_are_verbatim() -> None:
    originals = [
        json.dumps(GOOD),
        '{"value":1e999 ,"timestamp":"2026-11-01T05:00:00Z"}',
        f'{{ "value" : {"9" * 5000} }}',
        '{"meter_serial": "\\ud800", "timestamp": "2026-11-01T05:00:00Z", "value": 1.10}',
        '{"meter_serial": "a\x00b", "timestamp": "2026-11-01T05:00:00Z", "value": NaN}',
    ]
    payload = parse(('{"x": [1, {"readings": 2}], "readings": [ ' + " ,\n".join(originals) + " ] }").encode())
    assert [isinstance(one, SentReading) for one in payload.readings] == [True, False, False, True, False]
    assert payload.originals() == originals


def test_the_last_of_repeated_keys_counts_on_both_paths() -> None:
    fast = parse(b'{"readings": [1], "readings": []}')
    assert fast.readings == []
    slow = parse(b'{"readings": [], "readings": [NaN]}')
    assert slow.originals() == ["NaN"]


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"[1,]", b'{"a":1} x', b"nul", b"\xff", b'{"x": "\xff", "readings": []}', b'"x"', b"7", b"true"],
)
def test_what_is_no_message_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(NotAMessageError):
        parse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values=st.lists(json_values, max_size=5), indent=st.sampled_from([None, 1]))
def test_the_elements_of_any_list_keep_value_and_text(values: list[object], indent: int | None) -> None:
    elements = JsonText.parse(json.dumps(values, indent=indent).encode()).elements()
    assert [element.value for element in elements] == values
    assert [json.loads(element.text) for element in elements] == values


@given(members=st.dictionaries(st.text(), json_values, max_size=5), indent=st.sampled_from([None, 1]))
def test_the_members_of_any_object_keep_value_and_text(members: dict[str, object], indent: int | None) -> None:
    text = JsonText.parse(json.dumps(members, indent=indent).encode())
    for name, value in members.items():
        assert text.member(name).value == value
        assert json.loads(text.member(name).text) == value


@given(body=st.binary(max_size=60) | st.text('[]{}:,"0123eE.-+ntfaul\\ \x00', max_size=40).map(str.encode))
def test_any_bytes_are_a_payload_or_a_dead_letter_and_never_another_error(body: bytes) -> None:
    try:
        payload = parse(body)
    except NotAMessageError:
        return
    assert isinstance(payload, Payload)
    assert len(payload.originals()) == len(payload.readings)


@pytest.mark.parametrize("element", [b"0", b"{}", b'""'])
def test_a_message_of_more_elements_than_readings_fit_into_it_is_none(element: bytes) -> None:
    body = b"[" + b",".join([element] * (MAX_READINGS + 1)) + b"]"
    with pytest.raises(NotAMessageError, match="70001 readings"):
        parse(body)


@pytest.mark.parametrize("claim", [7, ["GW-1"], {"GW-1": 1}, "x" * 1_000_000], ids=["int", "list", "object", "long"])
def test_a_claim_that_is_no_gateway_id_is_a_short_text_that_equals_none(claim: object) -> None:
    claimed = parse(json.dumps({"gateway_id": claim, "readings": [7]}).encode()).claimed_gateway
    assert claimed
    assert claimed != "GW-1"


def test_a_list_nested_without_end_is_not_json_that_can_be_read() -> None:
    with pytest.raises(NotJsonError, match="too deeply"):
        JsonText.parse(b"[" * 200_000)
