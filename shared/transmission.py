"""When a message was transmitted by its gateway: what a replay carries along, so that it wins over nothing newer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pamqp.common import FieldTable

ACCEPTED_AT_HEADER = "timestamp_in_ms"
"""RabbitMQ's message interceptor sets it (deploy/rabbitmq); it stays the same when a message is delivered again."""

RECEIVED_AT_HEADER = "x-mbus-received-at"
"""When the original was received, ISO 8601. Anybody may set it: it can only make a message older than it is."""

CORRECTS_NOTHING_HEADER = "x-mbus-corrects-nothing"
"""Set where nobody knows whether the original was received earlier than that."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Transmission:
    """When a message was received; where not `may_correct`, it may have been earlier, and corrects nothing.

    Of a replay, it is that of the original.
    """

    received_at: datetime
    may_correct: bool
    is_replay: bool = False

    @classmethod
    def of_delivery(cls, headers: Mapping[str, Any], *, redelivered: bool, now: datetime, trust_stamps: bool) -> Self:
        """That of a message that is delivered `now`; `trust_stamps` says whether the broker stamps messages."""
        accepted = accepted_at(headers) if trust_stamps else None
        # A stamp from the future would win over every later correction.
        received_at = min(accepted or now, now)
        replayed = cls.of_replay(headers)
        if replayed is not None:
            return cls(min(received_at, replayed.received_at), replayed.may_correct, is_replay=True)
        return cls(received_at, may_correct=accepted is not None or not redelivered)

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
        may_correct = not headers.get(CORRECTS_NOTHING_HEADER)
        return cls(received_at.astimezone(UTC), may_correct, is_replay=True)

    def headers(self) -> "FieldTable":
        """The headers of a replay."""
        headers: FieldTable = {RECEIVED_AT_HEADER: self.received_at.astimezone(UTC).isoformat()}
        return headers if self.may_correct else {**headers, CORRECTS_NOTHING_HEADER: True}


def accepted_at(headers: Mapping[str, Any]) -> datetime | None:
    """When the broker took a message first, where it says so."""
    stamp = headers.get(ACCEPTED_AT_HEADER)
    try:
        return datetime.fromtimestamp(stamp / 1000, UTC) if isinstance(stamp, int) else None
    except (OverflowError, ValueError, OSError):  # a number that is no time, so no broker's
        return None
