"""Which of alerts' rounds a session can answer. Pure."""

from collections import deque
from dataclasses import dataclass

MOST_OPEN = 100
"""Rounds that are remembered without an answer; alerts has given up older ones."""


@dataclass(frozen=True)
class Answer:
    """What a session says of a round: of messages up to this delivery tag, `received` before, none is in its hands."""

    round: int = 0
    received: int = 0


class OpenRounds:
    """The rounds that were heard of and are not answered yet."""

    def __init__(self) -> None:
        self._open: deque[Answer] = deque(maxlen=MOST_OPEN)

    def hear(self, round_: int, received: int) -> None:
        """Take note of what had been received at the question of a round, which is a later one each time."""
        if self._open and self._open[-1].received == received:
            self._open.pop()  # the later round's answer says more
        self._open.append(Answer(round_, received))

    def answer(self, dealt_with: int) -> Answer | None:
        """The newest round of which all is dealt with; it and those before it are not open any more."""
        newest = None
        while self._open and self._open[0].received <= dealt_with:
            newest = self._open.popleft()
        return newest
