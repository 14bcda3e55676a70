"""Secrets and signatures of webhooks, by Standard Webhooks 1.0.0. Pure but for the chance in a new secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import re
import secrets as chance
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 32
SECRET_MIN_BYTES = 24
SECRET_MAX_BYTES = 64

# A full stop separates what is signed, so that an id with one could be moved into the time.
MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")


def new_secret() -> str:
    """A secret for one endpoint: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(chance.token_bytes(SECRET_BYTES)).decode()


def signed_headers(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that tell a receiver who sent `body`, and when; signed with every one of `secrets`.

    While a secret is exchanged both are good, and a receiver needs but one. `message_id` stays the same when the event
    is sent again; `at` is the time of this attempt. `ValueError`, which tells no secret, for none or a bad one, a time
    without its zone, another id than letters, digits, `_` and `-`, and a body that is not UTF-8.
    """
    if not secrets:
        raise ValueError("a webhook is signed with at least one secret")
    if MESSAGE_ID.fullmatch(message_id) is None:
        raise ValueError("a webhook's id is 1 to 255 letters, digits, _ and -")
    if at.utcoffset() is None:
        raise ValueError("the time of an attempt has a zone")
    moment, text = at.astimezone(UTC), body.decode()  # sign() takes any time for UTC
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(_key(secret)).sign(message_id, moment, text) for secret in secrets),
    }


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if encoded == secret or not SECRET_MIN_BYTES <= len(key) <= SECRET_MAX_BYTES:
        raise ValueError(f"a webhook's secret is {PREFIX} and {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} bytes in base64")
    return key
