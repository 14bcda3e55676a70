"""When a message was transmitted by its gateway: what a replay carries along, so that it wins over nothing newer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pamqp.common import FieldTable

RECEIVED_AT_HEADER = "x-mbus-received-at"
"""When the original was received, ISO 8601. Anybody may set it: it can only make a message older than it is."""

CORRECTS_NOTHING_HEADER = "x-mbus-corrects-nothing"
"""Set where nobody knows whether the original was received earlier than that."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Transmission:
    """When a message was received; where not `may_correct`, it may have been earlier, and corrects nothing."""

    received_at: datetime
    may_correct: bool

    @classmethod
    def of_replay(cls, headers: Mapping[str, Any]) -> Self | None:
        """That of the original, if `headers` are those of a replay."""
        written = headers.get(RECEIVED_AT_HEADER)
        if not isinstance(written, str):
            return None
        try:
            received_at = datetime.fromisoformat(written)
            if received_at.tzinfo is None or received_at.astimezone(UTC) < EARLIEST:
                return None
        except (ValueError, OverflowError):  # no time, or one at an end of the calendar, which UTC does not reach
            return None
        return cls(received_at.astimezone(UTC), may_correct=not headers.get(CORRECTS_NOTHING_HEADER))

    def headers(self) -> "FieldTable":
        """The headers of a replay."""
        headers: FieldTable = {RECEIVED_AT_HEADER: self.received_at.astimezone(UTC).isoformat()}
        return headers if self.may_correct else {**headers, CORRECTS_NOTHING_HEADER: True}
