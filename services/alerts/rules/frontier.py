"""Up to when all that the broker accepted is stored: what the rounds prove, put together. Pure.

The argument is in docs/architecture/staleness.md.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.counted import counted

REMEMBERED = 100
"""Rounds that wait for their proof. What is so late is of no use: judgement is held by then."""

STEADY = 2
"""So many rounds in a row must have found nothing changed before one of them can be the first of a proof.

One does not do: what a session had counted as given back when it answered the round before may still have been on its
way to the broker when this one looked, and what a dead one had in hand may not have been back in the queue."""


@dataclass(frozen=True)
class Answer:
    """What a session said to a round: all of the `received` messages that it had got by its question are dealt with.

    By the time of the answer it had given so many messages back, and got so many with a priority. Both break the order
    of the queue, but only the first leaves something in it that a look at an empty queue may have missed. `consumer` is
    a number that stays the same as long as the broker surely counts a consumer of it; None: perhaps it did not then.
    """

    received: int
    given_back: int
    prioritised: int = 0
    consumer: int | None = None


@dataclass(frozen=True)
class Round:
    """A question that every session has answered.

    Before anybody was asked it was `at`, and then the queue had `waiting` messages ready and so many `consumers`.
    """

    at: datetime
    waiting: int
    consumers: int
    answers: Mapping[UUID, Answer]

    @property
    def received(self) -> int:
        """What all sessions together had received."""
        return sum(answer.received for answer in self.answers.values())

    @property
    def prioritised(self) -> int:
        """How many messages with a priority all sessions together had received."""
        return sum(answer.prioritised for answer in self.answers.values())

    def known_consumers(self, before: "Round") -> int:
        """How many of the queue's consumers surely were sessions': those whose number was the same before the look.

        That is what they said to the round `before`.
        """
        mine = {key: answer.consumer for key, answer in self.answers.items() if answer.consumer is not None}
        return sum(key in before.answers and before.answers[key].consumer == one for key, one in mine.items())

    @property
    def order(self) -> dict[UUID, int]:
        """What must not change while messages are counted: who takes them, and in which order."""
        return {session: answer.given_back for session, answer in self.answers.items()}


class Frontier:
    """Takes rounds, one after the other, and says what they prove.

    Everything accepted before a round began was at its look either dealt with, or in the hands of a session, which has
    dealt with it when it answers, or among the `waiting` first of the queue. These were handed out before a later round
    began if the answers to one between them, or to itself, tell of so many more; and then they are dealt with when that
    later round is answered. Its own answers say nothing of that: sessions count one after the other.
    """

    def __init__(self) -> None:
        self._unproven: deque[Round] = deque(maxlen=REMEMBERED)
        self._last: Round | None = None
        self._known = 0
        """How many of the last round's consumers were sessions'; whoever else takes messages is a stranger."""
        self._steady = 0

    @property
    def waits(self) -> bool:
        """Whether another round, soon, may prove something that this one did not."""
        if self._last is None or not self._last.answers or self._last.consumers > len(self._last.answers):
            return False
        return self._steady < STEADY or bool(self._unproven)

    @property
    def obstacle(self) -> str:
        """What may be in the way of a proof, in words."""
        if self._last is None:
            return "nothing is known of ingest yet"
        if not self._last.answers:
            return "no ingest consumes"
        if self._last.consumers > self._known:
            consumers = counted(self._last.consumers, "consumer")
            return f"{consumers} on ingest's queue, of which {self._known} known as ingest's"
        if self._last.waiting:
            return f"{counted(self._last.waiting, 'message')} in ingest's queue, and it does not keep up"
        return "sessions of ingest have come or gone, or gave messages back"

    def answered(self, question: Round) -> datetime | None:
        """Take a round, begun when all before were answered; the newest moment that it proves, if it proves any."""
        last, self._last = self._last, question
        self._known = len(question.answers) if last is None else question.known_consumers(last)
        strangers = question.consumers > self._known
        if last is None or not question.answers or strangers or last.order != question.order:
            self._steady = 0
            self._unproven.clear()
            return None
        self._steady += 1
        if self._steady < STEADY:
            return None
        if not question.waiting:
            self._unproven.clear()
            return question.at
        if last.prioritised != question.prioritised:
            # Of the many that came since, some may have overtaken one that waits still.
            self._unproven.clear()
            return None
        proven = [one for one in self._unproven if last.received - one.received >= one.waiting]
        while proven and self._unproven[0] is not proven[-1]:
            self._unproven.popleft()
        self._unproven.append(question)
        return self._unproven.popleft().at if proven else None

    def forget(self) -> None:
        """Begin anew: something happened that makes the rounds before useless, such as a session that died."""
        self._unproven.clear()
        self._last = None
        self._steady = 0
