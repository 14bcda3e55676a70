"""Cursors: where a page ended, as a URL-safe text that only the same list of the same tenant takes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TypeVar, cast

import msgspec

_DIGEST_BYTES = 8
_REFUSAL = "is not a cursor of this list"

P = TypeVar("P")


class CursorError(ValueError):
    """The text is no cursor of this list."""


def encode_cursor(position: Sequence[object], *, scope: Sequence[object]) -> str:
    """`position` (times, UUIDs, strings, numbers, None) in the list that `scope` names.

    `scope` is all that makes it this list and no other: its name, the tenant, the filters. Its digest finds out
    mistakes and mix-ups; it is no signature, because a cursor gives no rights: every statement has its own filters. So
    whoever knows how can make one, and what is in it is looked at as any other input is.
    """
    body = msgspec.json.encode(position)
    return urlsafe_b64encode(digest_of(body, scope) + body).rstrip(b"=").decode()


def decode_cursor(cursor: str, position: type[P], *, scope: Sequence[object]) -> P:
    """The position in `cursor` as the tuple type `position`, its times in UTC; raises `CursorError` for anything else.

    What PostgreSQL cannot take, it does not give: times without an offset or outside the years 1-9999, NUL in text.
    """
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        # The text is compared too: base64 has several for the same bytes.
        if digest != digest_of(body, scope) or urlsafe_b64encode(raw).rstrip(b"=").decode() != cursor:
            raise CursorError(_REFUSAL)
        found = cast("tuple[object, ...]", msgspec.json.decode(body, type=position))
        return cast("P", tuple(map(_as_the_database_takes_it, found)))
    except (ValueError, OverflowError):
        raise CursorError(_REFUSAL) from None


def _as_the_database_takes_it(value: object) -> object:
    match value:
        case datetime(tzinfo=None):
            raise ValueError("has no offset")
        case datetime():
            return value.astimezone(UTC)
        case str() if "\0" in value:
            raise ValueError("has a NUL")
        case _:
            return value


def digest_of(body: bytes, scope: Sequence[object]) -> bytes:
    """What stands before `body` in a cursor of the list that `scope` names. It has no key: it is no secret."""
    return blake2b(msgspec.json.encode(scope) + body, digest_size=_DIGEST_BYTES).digest()
