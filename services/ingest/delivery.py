"""A gateway message as it came from the broker, and what it is if it is none."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from opentelemetry.trace import SpanContext

from services.ingest.moments import moment
from shared.topology import GatewayFormat


@dataclass(frozen=True, eq=False)
class GatewayDelivery:
    """A message as it came from the broker; nothing of its body has been looked at.

    `may_correct` is false where nobody knows when the broker accepted it first: it may be older than what is stored.
    `trace` is the trace context that came with it. Of a replay, `received_at` is when its original was received.
    """

    gateway_id: str
    body: bytes
    received_at: datetime
    may_correct: bool
    format: GatewayFormat = GatewayFormat.READINGS
    is_replay: bool = False
    trace: SpanContext | None = None

    @cached_property
    def received(self) -> int:
        """The moment of `received_at`."""
        return moment(self.received_at)


@dataclass(frozen=True)
class DeadLetter:
    """A message that is none, with the reason."""

    reason: str
