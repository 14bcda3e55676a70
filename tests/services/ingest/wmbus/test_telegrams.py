"""What a body of wmbusmeters is read as, without broker or database."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.payload import NotAMessageError
from services.ingest.reasons import Reason, Refused
from services.ingest.wmbus.telegrams import SentTelegrams, Telegram, parse, read
from shared.messages.gateway import MAX_MESSAGE_BYTES
from tests.services.ingest.wmbus.telegrams import AT, COLD_WATER, HEAT


def reason_of(telegram: object) -> Reason | None:
    found = read(telegram)
    return found.reason if isinstance(found, Refused) else None


def test_one_object_is_a_telegram_and_a_list_is_many() -> None:
    one, many = parse(json.dumps(HEAT).encode()), parse(json.dumps([HEAT, COLD_WATER]).encode())
    assert one.telegrams == [Telegram("70000000", "2026-03-01T12:00:00Z", AT, HEAT, None)]
    assert many.telegrams == [*one.telegrams, Telegram("70000000", "2026-03-01T12:00:00Z", AT, COLD_WATER, None)]


def test_a_field_named_readings_makes_no_batch() -> None:
    body = json.dumps(HEAT | {"readings": "12"}).encode()
    assert parse(body).originals() == [body.decode()]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, Reason.NO_INSTALLATION),
        ({"id": ""}, Reason.NO_INSTALLATION),
        ({"id": 70000000}, Reason.INVALID_METER_SERIAL),
        ({"timestamp": None}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": 1772366400}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2127-15-31T00:00:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-03-01 12:00:00"}, Reason.NAIVE_TIMESTAMP),
        ({"timestamp": "2026-03-01T13:00:00+01:00"}, None),
        ({"status": "PERMANENT_ERROR UNKNOWN_40", "meter_datetime": "2000-00-00 00:00"}, None),
    ],
    ids=str,
)
def test_a_telegram_names_a_meter_and_says_when_it_was_received(
    changes: dict[str, object], reason: Reason | None
) -> None:
    assert reason_of(HEAT | changes) is reason


@pytest.mark.parametrize("value", [None, 3, "telegram", [HEAT]], ids=["null", "number", "text", "list"])
def test_what_is_no_object_is_no_telegram(value: object) -> None:
    assert reason_of(value) is Reason.NOT_AN_OBJECT


@pytest.mark.parametrize(
    ("sent", "spellings"),
    [
        ("00440145", ["00440145"]),
        ("2124589c", ["2124589c", "2124589C"]),
        ("004444dd.M=APA.V=03.T=03", ["004444dd", "004444DD"]),
        ("p250", ["p250", "P250"]),
        ("12345678.x", ["12345678.x", "12345678.X"]),
    ],
)
def test_a_serial_is_looked_for_as_it_was_sent_and_then_in_the_other_case(sent: str, spellings: list[str]) -> None:
    telegram = read(HEAT | {"id": sent})
    assert isinstance(telegram, Telegram)
    assert list(telegram.spellings) == spellings


@pytest.mark.parametrize(("claim", "claimed"), [("GW-1", "GW-1"), (None, None), (7, "7"), (["GW-1"], "['GW-1']")])
def test_a_static_field_may_name_the_gateway(claim: object, claimed: str | None) -> None:
    telegram = read(HEAT | {"gateway_id": claim})
    assert isinstance(telegram, Telegram)
    assert telegram.gateway_id == claimed


@pytest.mark.parametrize(
    "body",
    [b"", b"7", b'"x"', b"telegram=|1844AE4C|", b"\xff", b"[" * 100_000, b"[" + b" " * MAX_MESSAGE_BYTES + b"]"],
    ids=["empty", "number", "text", "raw telegram", "not utf-8", "too deep", "too large"],
)
def test_what_is_neither_object_nor_list_is_no_message(body: bytes) -> None:
    with pytest.raises(NotAMessageError):
        parse(body)


@given(body=st.binary(max_size=60) | st.text('[]{}:,"0123eE.-+ntfaulidmsp\\ \x00', max_size=40).map(str.encode))
def test_any_bytes_are_telegrams_or_a_dead_letter_and_never_another_error(body: bytes) -> None:
    try:
        sent = parse(body)
    except NotAMessageError:
        return
    assert isinstance(sent, SentTelegrams)
    assert len(sent.originals()) == len(sent.telegrams)
