"""Which readings are surely new: those later than all that this process has stored of their installation.

Gateways send mostly what they heard since the last time. Such readings can be appended, which takes the database half
the work of a merge. It is a guess: another process may have stored them, or an earlier life of this one. The unique key
finds that out, and then the batch is merged.
"""

from collections.abc import Iterable
from typing import Final

from services.ingest.verdicts import Accepted

MOST_INSTALLATIONS = 100_000
"""How many are remembered, at some 200 bytes each; when there are more, it begins anew."""

LONGEST_DOUBT: Final = 64
"""Batches. While old readings are sent again, a try in so many costs nothing to speak of."""


class Frontier:
    """How far each installation's readings are known to reach; for one process."""

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}
        self._doubt = 0
        self._wrong_in_a_row = 0

    def split(self, readings: Iterable[Accepted]) -> tuple[list[Accepted], list[Accepted]]:
        """The surely new ones among `readings`, and the others: all of them while the guess is in doubt."""
        if self._doubt:
            self._doubt -= 1
            return [], list(readings)
        new: list[Accepted] = []
        others: list[Accepted] = []
        reached = self._reached
        for reading in readings:
            # What was never heard of here may be there from before.
            at = reached.get(reading.installation.first_key)
            (others if at is None or reading.at <= at else new).append(reading)
        return new, others

    def was_right(self) -> None:
        """The readings said to be new were."""
        self._wrong_in_a_row = 0

    def was_wrong(self) -> None:
        """They were not: nothing is said to be new for a while, longer each time in a row."""
        self._wrong_in_a_row += 1
        self._doubt = min(2**self._wrong_in_a_row, LONGEST_DOUBT)

    def advance(self, committed: Iterable[Accepted]) -> None:
        """Remember what is stored for good; of each installation at least its latest."""
        reached = self._reached
        if len(reached) > MOST_INSTALLATIONS:
            reached.clear()
        for reading in committed:
            key = reading.installation.first_key
            if reading.at > reached.get(key, reading.at - 1):
                reached[key] = reading.at
