"""Cursors: where a page ended, as a URL-safe text that only the same list of the same tenant takes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

import msgspec

_DIGEST_BYTES = 8

P = TypeVar("P")


class CursorError(ValueError):
    """The text is no cursor of this list."""


def encode_cursor(position: Sequence[object], *, scope: Sequence[object]) -> str:
    """`position` (times, UUIDs, strings, numbers, None) in the list that `scope` names.

    `scope` is all that makes it this list and no other: its name, the tenant, the filters. Its digest finds out
    mistakes and mix-ups; it is no signature, because a cursor gives no rights: every statement has its own filters.
    """
    body = msgspec.json.encode(position)
    return urlsafe_b64encode(_digest(body, scope) + body).rstrip(b"=").decode()


def decode_cursor(cursor: str, position: type[P], *, scope: Sequence[object]) -> P:
    """The position in `cursor` as the tuple type `position`; raises `CursorError` for anything else."""
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise CursorError("is not a cursor of this list") from None
    digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    # The text is compared too: base64 has several for the same bytes.
    if digest != _digest(body, scope) or urlsafe_b64encode(raw).rstrip(b"=").decode() != cursor:
        raise CursorError("is not a cursor of this list")
    try:
        return msgspec.json.decode(body, type=position)
    except msgspec.DecodeError:
        raise CursorError("is not a cursor of this list") from None


def _digest(body: bytes, scope: Sequence[object]) -> bytes:
    return blake2b(msgspec.json.encode(scope) + body, digest_size=_DIGEST_BYTES).digest()
