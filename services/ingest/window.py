"""How many messages may be in hand at once: so many that their bytes stay within a bound, by what came lately."""

from shared.messages.gateway import MAX_MESSAGE_BYTES

FEWEST = 2
"""One is written while the other is read."""

RISE, FALL = 1 / 4, 1 / 16
"""The weight of the newest message in what is typical, where it is larger and where it is smaller: memory that is full
is worse than a batch that is small."""

FIRST, FALL_AT_FIRST = 8, 1 / 2
"""Of the first messages each tells more than that the largest are possible."""

WORTH_IT = 1.5
"""The broker is asked for another number of messages when it is so many times larger or smaller."""

TOO_MUCH = 4
"""Times what should be in hand: then the rest goes back. That costs a delivery of each, and must be rare."""


class Window:
    """The broker counts messages, memory counts bytes: a size for the one from the other.

    It begins with what the largest messages would allow. When small ones are followed by large ones, the window closes
    with the first of these; as many as it was wide may be on their way by then, and what is too much goes back.
    """

    def __init__(self, *, most_messages: int, most_bytes: int) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._typical_bytes = float(MAX_MESSAGE_BYTES)
        self._seen = 0

    @property
    def size(self) -> int:
        """How many messages may be in hand now."""
        return max(
            min(FEWEST, self._most_messages), min(self._most_messages, int(self._most_bytes / self._typical_bytes))
        )

    def came(self, size_bytes: int) -> None:
        """Learn from the size of a message."""
        self._seen += 1
        fall = FALL_AT_FIRST if self._seen <= FIRST else FALL
        weight = RISE if size_bytes > self._typical_bytes else fall
        self._typical_bytes = max(1.0, self._typical_bytes + weight * (size_bytes - self._typical_bytes))

    def is_too_much(self, bytes_in_hand: int) -> bool:
        """Whether a message with which so much is in hand goes back, if it was sent for an earlier, wider window."""
        return bytes_in_hand > TOO_MUCH * self._most_bytes

    def forget(self) -> None:
        """Begin again with the largest: nobody knows what waits after an absence."""
        self._typical_bytes = float(MAX_MESSAGE_BYTES)
        self._seen = 0

    def beside(self, in_hand: int) -> int:
        """How many may be asked for while others are in hand: together they are never more than allowed.

        0 where that are too few to begin with.
        """
        size = min(self.size, self._most_messages - in_hand)
        return size if size >= min(FEWEST, self._most_messages) else 0

    def is_worth_changing(self, current: int, *, in_hand: int) -> bool:
        """Whether another number of messages than `current` should be asked for."""
        return self.size <= current / WORTH_IT or self.beside(in_hand) >= WORTH_IT * current
