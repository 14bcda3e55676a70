"""The ways in which a subscription is told, and what one sending comes to."""

from collections.abc import Sequence
from typing import Protocol

from services.alerts.subscribers.batches import Sending
from services.alerts.subscribers.claims import Claim
from services.alerts.subscribers.results import Sent


class Way(Protocol):
    """Sends one message; what goes wrong with it is an outcome, and no error."""

    async def send(self, claim: Claim, sending: Sending, secrets: Sequence[str]) -> Sent:
        """What came of it, within a bounded time."""
