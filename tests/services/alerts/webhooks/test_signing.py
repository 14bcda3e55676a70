"""Signatures, as a receiver verifies them with the library of Standard Webhooks."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.alerts.webhooks.signing import new_secret, signed_headers

BODY = json.dumps({"type": "installation.stale", "data": {"place": "Kælderen"}}, ensure_ascii=False).encode()


def test_a_new_secret_is_32_random_bytes_as_the_standard_writes_them() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_a_receiver_verifies_what_was_signed() -> None:
    secret = new_secret()
    headers = signed_headers([secret], "evt_1", datetime.now(UTC), BODY)
    assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)


def test_while_a_secret_is_exchanged_a_receiver_verifies_with_either() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers([new, old], "evt_1", datetime.now(UTC), BODY)
    assert [one.split(",")[0] for one in headers["webhook-signature"].split(" ")] == ["v1", "v1"]
    for secret in (old, new):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "body"])
def test_nothing_can_be_changed_on_the_way(part: str) -> None:
    secret, now = new_secret(), datetime.now(UTC)
    headers = signed_headers([secret], "evt_1", now, BODY)
    other = signed_headers([secret], "evt_2", now + timedelta(seconds=1), BODY)
    body = BODY if part != "body" else BODY + b" "
    if part != "body":
        headers[part] = other[part]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_a_time_of_any_zone_is_signed_as_it_is_in_utc() -> None:
    secret = new_secret()
    at = datetime(2026, 11, 1, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    headers = signed_headers([secret], "evt_1", at, BODY)
    assert headers == signed_headers([secret], "evt_1", at.astimezone(UTC), BODY)
    assert headers["webhook-timestamp"] == "1793514600"


def test_it_is_the_standards_own_example() -> None:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1_614_265_330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + base64.b64encode(b"x" * 32).decode().replace("eHh4", "eH!h4", 1),
        "whsec_not base64 not base64 not base64",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "WHSEC_" + base64.b64encode(b"x" * 32).decode(),
        base64.b64encode(b"x" * 32).decode(),
        "whsec_" + "ü" * 40,
    ],
)
def test_a_bad_secret_is_refused_and_not_told(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and 24 to 64 bytes") as refusal:
        signed_headers([new_secret(), secret], "evt_1", datetime.now(UTC), BODY)
    assert len(secret) < 10 or secret.removeprefix("whsec_") not in str(refusal.value)


@pytest.mark.parametrize("message_id", ["", "evt.1", "evt 1", "evt\r\nx: y", "ü", "x" * 256])
def test_an_id_that_could_be_read_in_another_way_is_refused(message_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        signed_headers([new_secret()], message_id, datetime.now(UTC), BODY)


def test_what_cannot_be_signed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        signed_headers([], "evt_1", datetime.now(UTC), BODY)
    with pytest.raises(ValueError, match="zone"):
        signed_headers([new_secret()], "evt_1", datetime(2026, 11, 1), BODY)  # noqa: DTZ001 - it has none
    with pytest.raises(ValueError, match="utf-8"):
        signed_headers([new_secret()], "evt_1", datetime.now(UTC), b"\xff")
