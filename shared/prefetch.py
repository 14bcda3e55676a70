"""How many messages to have in hand: as many as fit into a number of bytes, by the sizes of those that came last.

RabbitMQ bounds what it sends ahead by the number of messages only, and a message may have four megabytes. Pure.
"""

FEWEST = 4
STEP = 4
"""Between one level and the next: a change costs two round trips, and there are to be few."""

FORGET = 0.99
"""What the size of the largest message counts for after each further one: half after 69 of them."""


class Prefetch:
    """Chooses a level, from few messages, while their sizes are not known, up to many.

    Args:
        most: messages that may be in hand at once.
        most_bytes: what they may weigh together, as long as each is no larger than those before it.
        largest: bytes that a message may have.
    """

    def __init__(self, *, most: int, most_bytes: int, largest: int) -> None:
        self.levels = _levels(most)
        self._most_bytes = most_bytes
        self._largest = float(largest)

    @property
    def level(self) -> int:
        """How many messages to ask for now."""
        fitting = [level for level in self.levels if level * self._largest <= self._most_bytes]
        return fitting[-1] if fitting else self.levels[0]

    def came(self, size: int) -> None:
        """Take the size of a message into account."""
        self._largest = max(size, self._largest * FORGET)


def _levels(most: int) -> list[int]:
    """Levels of which no two neighbours exceed `most` together: on the way up, both are in hand for a while."""
    levels = [min(FEWEST, most)]
    while levels[-1] * STEP <= most // 2:
        levels.append(levels[-1] * STEP)
    if most - levels[-1] > levels[-1]:
        levels.append(most - levels[-1])
    return levels
