"""Tokens that end a subscription: those that were handed out, and no other."""

from base64 import urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.alerts.mail.unsubscribe import (
    subscription_of,
    unsubscribe_headers,
    unsubscribe_token,
    unsubscribe_url,
)

KEY = b"a key of the tests, of 32 bytes.."
SUBSCRIPTION = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")
TOKEN = unsubscribe_token(KEY, SUBSCRIPTION)


@given(st.uuids(), st.binary(min_size=32, max_size=64))
def test_a_token_names_its_subscription_to_whoever_has_the_key(subscription: UUID, key: bytes) -> None:
    token = unsubscribe_token(key, subscription)
    assert subscription_of(key, token) == subscription
    assert subscription_of(key + b"!", token) is None


def test_a_token_stays_the_same_since_it_stands_in_mails_that_were_sent() -> None:
    assert TOKEN == "v1.fJ5meXQlQN6US-B_wfkK5-uut76nFtiXP7cI9_j6GzWesfGzvfyWlgWmE-rOW39k"


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_token_with_another_character_is_none(position: int, character: str) -> None:
    forged = TOKEN[:position] + character + TOKEN[position + 1 :]
    assert (subscription_of(KEY, forged) == SUBSCRIPTION) == (forged == TOKEN)


@given(st.uuids(), st.binary(min_size=32, max_size=32))
def test_a_signature_that_was_made_up_is_none(subscription: UUID, signature: bytes) -> None:
    assert subscription_of(KEY, "v1." + urlsafe_b64encode(subscription.bytes + signature).decode()) is None


@given(st.one_of(st.text(), st.text().map(lambda text: "v1." + text), st.from_regex(r"v1\.[A-Za-z0-9_=+/-]{60,68}")))
@example("")
@example("v1.")
@example("v1." + "=" * 64)
@example("v1." + "æ" * 64)
@example(TOKEN + "\n")
@example(TOKEN + "=")
@example(" " + TOKEN)
@example(TOKEN.replace("v1.", "v2."))
@example(TOKEN.replace("v1.", ""))
@example(TOKEN.swapcase())
def test_anything_else_is_none(text: str) -> None:
    assert subscription_of(KEY, text) is None


@pytest.mark.parametrize("public_url", ["https://alerts.example.com", "https://alerts.example.com/"])
def test_the_link_leads_to_the_token(public_url: str) -> None:
    url = unsubscribe_url(public_url, TOKEN)
    assert url == f"https://alerts.example.com/unsubscribe/{TOKEN}"
    assert unsubscribe_headers(url) == {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
