"""Cursors as somebody makes them who knows how."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from uuid import UUID

from shared.http import cursors

NO_TEXT = ["\0", "a\0", "\ud800"]
OTHERS: list[object] = [
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-11-01T12:00:00", "infinity"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-11-01T12:00:00+01:00"),
    *(str(UUID(int=0)), "", "a" * 2000, None, 0, -1, 1e300, True, [], {}),
]
"""Some of these are good in some places."""


class Forge:
    """Makes cursors with the right digest for the list whose cursor was made last."""

    def __init__(self) -> None:
        self._digest_of = cursors.digest_of
        self._scope: Sequence[object] = ()

    def overhear(self, body: bytes, scope: Sequence[object]) -> bytes:
        self._scope = scope
        return self._digest_of(body, scope)

    def cursor(self, position: object) -> str:
        body = json.dumps(position).encode()
        return urlsafe_b64encode(self._digest_of(body, self._scope) + body).rstrip(b"=").decode()
