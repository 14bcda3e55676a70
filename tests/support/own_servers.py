"""What a test may do to servers that the tests started themselves: stop them, start them, starve them of memory."""

from typing import Protocol


class OwnServer(Protocol):
    """A server that keeps its data and its address when it is stopped and started. The calls take seconds."""

    def stop(self) -> None:
        """Stop it in good order; it is unreachable from then on."""

    def start(self) -> None:
        """Start it again and wait until it can be used."""


class OwnBroker(OwnServer, Protocol):
    """A broker that can be made to believe that its memory is full."""

    def set_memory_limit(self, share_of_memory: float) -> None:
        """From how much of the machine's memory on it raises the alarm and takes no more messages."""


ENOUGH_MEMORY = 0.6
TOO_LITTLE_MEMORY = 0.000_001
