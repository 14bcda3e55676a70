"""Tokens that end a subscription without a login, by one click (RFC 8058): made and checked, not stored. Pure.

A token names the subscription and proves, by HMAC-SHA256, that it was handed out; it holds as long as the key does.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from urllib.parse import quote
from uuid import UUID

PREFIX = "v1."
"""The version: of a later one the form may be another."""

PURPOSE = b"mbus unsubscribe v1\0"
"""What the key signs here; a signature that it made for something else is none of a token."""

UUID_BYTES = 16
CHARACTERS = 64
"""In Base64, without padding, after the prefix: 16 bytes of the subscription and 32 of the signature."""


def unsubscribe_token(key: bytes, subscription_id: UUID) -> str:
    """The token of a subscription: letters, digits, `-`, `_` and one dot."""
    signature = hmac.digest(key, PURPOSE + subscription_id.bytes, sha256)
    return PREFIX + urlsafe_b64encode(subscription_id.bytes + signature).decode()


def subscription_of(key: bytes, token: str) -> UUID | None:
    """The subscription whose token this is; None where it is no token, or one of another key.

    Compared is the whole text, in constant time: Base64 can be read in more spellings than it is written.
    """
    encoded = token.removeprefix(PREFIX)
    if not token.isascii() or not token.startswith(PREFIX) or len(encoded) != CHARACTERS:
        return None
    try:
        subscription_id = UUID(bytes=urlsafe_b64decode(encoded)[:UUID_BYTES])
    except ValueError:  # what decodes to too little
        return None
    return subscription_id if hmac.compare_digest(unsubscribe_token(key, subscription_id), token) else None


def unsubscribe_url(public_url: str, token: str) -> str:
    """Where a click ends the subscription: a page for people, and RFC 8058's POST."""
    return f"{public_url.rstrip('/')}/unsubscribe/{quote(token, safe='')}"


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The headers by which a mail program offers it; they count only where a DKIM signature covers them (RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
