"""What rounds prove: by hand, and in a simulated queue whose consumers deliver, acknowledge, return and die."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from services.alerts.rules.frontier import REMEMBERED, Answer, Frontier, Round

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def asked(second: int, *received: int, waiting: int = 0, consumers: int | None = None, disordered: int = 0) -> Round:
    answers = {UUID(int=number): Answer(count, disordered) for number, count in enumerate(received, 1)}
    return Round(at(second), waiting, len(received) if consumers is None else consumers, answers)


def after(*rounds: Round) -> datetime | None:
    """What the last of them proves."""
    frontier = Frontier()
    proven = None
    for question in rounds:
        proven = frontier.answered(question)
    return proven


def test_an_empty_queue_and_answers_of_all_prove_the_moment_of_the_round_itself() -> None:
    assert after(asked(1, 5), asked(2, 5), asked(3, 7)) == at(3)


def test_nothing_is_proven_before_two_rounds_in_a_row_found_nothing_changed() -> None:
    assert after(asked(1, 5)) is None
    assert after(asked(1, 5), asked(2, 5)) is None


def test_what_waited_is_proven_by_a_round_that_began_when_it_had_been_received() -> None:
    steady = [asked(1, 0, 0), asked(2, 0, 0)]
    assert after(*steady, asked(3, 2, 2, waiting=4), asked(4, 4, 4, waiting=9)) is None
    assert after(*steady, asked(3, 2, 2, waiting=4), asked(4, 4, 4, waiting=9), asked(5, 4, 4, waiting=9)) == at(3)


def test_of_several_the_newest_is_proven_and_the_others_stay() -> None:
    frontier = Frontier()
    proven = [
        frontier.answered(question)
        for question in [
            asked(1, 0),
            asked(2, 0),
            asked(3, 0, waiting=10),
            asked(4, 5, waiting=10),
            asked(5, 20, waiting=10),
            asked(6, 20, waiting=10),
            asked(7, 30, waiting=10),
            asked(8, 30, waiting=10),
        ]
    ]
    assert proven == [None, None, None, None, None, at(4), None, at(6)]


def test_nobody_who_answers_proves_nothing() -> None:
    assert after(asked(1), asked(2), asked(3), asked(4)) is None


def test_a_consumer_of_whom_nothing_is_known_proves_nothing_and_spoils_what_waits_for_its_proof() -> None:
    assert after(asked(1, 0), asked(2, 0), asked(3, 0, consumers=2)) is None
    spoilt = [asked(1, 0), asked(2, 0), asked(3, 0, waiting=1), asked(4, 1, waiting=1, consumers=2)]
    assert after(*spoilt, asked(5, 9, waiting=1)) is None
    assert after(*spoilt, asked(5, 9, waiting=1), asked(6, 9)) == at(6)


def test_a_session_that_does_not_consume_at_the_moment_is_no_stranger() -> None:
    assert after(asked(1, 0, 0), asked(2, 0, 0), asked(3, 0, 0, consumers=0)) == at(3)


def test_another_set_of_sessions_begins_anew() -> None:
    before = [asked(1, 5), asked(2, 5)]
    assert after(*before, asked(3, 5, 0)) is None
    assert after(*before, asked(3, 5, 0), asked(4, 5, 0)) is None
    assert after(*before, asked(3, 5, 0), asked(4, 5, 0), asked(5, 5, 0)) == at(5)


def test_what_was_given_back_begins_anew() -> None:
    before = [asked(1, 5), asked(2, 5), asked(3, 5, waiting=1)]
    assert after(*before, asked(4, 9, disordered=1), asked(5, 9, disordered=1)) is None
    again = [asked(second, 9, disordered=1) for second in (4, 5, 6)]
    assert after(*before, *again) == at(6)


def test_after_forgetting_it_begins_anew() -> None:
    frontier = Frontier()
    for second in (1, 2, 3):
        frontier.answered(asked(second, 5))
    frontier.forget()
    assert [frontier.answered(asked(second, 5)) for second in (4, 5, 6)] == [None, None, at(6)]


def test_it_waits_for_another_round_only_where_that_may_prove_something() -> None:
    frontier = Frontier()
    waits = []
    full, strange = asked(5, 0, waiting=1), asked(7, 1, consumers=2)
    for question in (asked(1), asked(2, 0), asked(3, 0), asked(4, 0), full, asked(6, 1), strange):
        frontier.answered(question)
        waits.append(frontier.waits)
    assert waits == [False, True, True, False, True, False, False]


def test_what_waits_for_its_proof_too_long_is_forgotten() -> None:
    frontier = Frontier()
    for second in range(REMEMBERED + 3):
        frontier.answered(asked(second, 0, waiting=10))
    frontier.answered(asked(1000, 10, waiting=1000))
    assert frontier.answered(asked(1001, 10, waiting=1000)) == at(REMEMBERED + 2)


@dataclass
class Consumer:
    """A session of ingest in the simulation: what the broker gave it, and what it has told."""

    key: UUID
    sent: int = 0
    unacked: dict[int, int] = field(default_factory=dict)
    given_back: int = 0
    returning: list[int] = field(default_factory=list)
    asked: int = 0
    noted: int | None = None
    round: int = 0
    answer: Answer = field(default_factory=lambda: Answer(0, 0))
    dead: bool = False


class AQueueAndItsConsumers(RuleBasedStateMachine):
    """Messages are numbered as they are accepted; the time is how many there are. Some are stored, none may be skipped.

    Returned messages, and those of the dead, come back to the head of the queue, and not at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frontier = Frontier()
        self.accepted = 0
        self.ready: list[int] = []
        self.stored: set[int] = set()
        self.consumers: dict[UUID, Consumer] = {}
        self.homeless: list[int] = []
        self.round = 0
        self.look: tuple[int, int, int] | None = None
        self.born = 0
        self.proofs = 0

    @property
    def living(self) -> list[Consumer]:
        return [consumer for consumer in self.consumers.values() if not consumer.dead]

    def one(self, data: st.DataObject) -> Consumer:
        return data.draw(st.sampled_from(self.living))

    @rule(count=st.integers(1, 5))
    def accept(self, count: int) -> None:
        self.ready.extend(range(self.accepted, self.accepted + count))
        self.accepted += count

    @precondition(lambda self: len(self.consumers) < 4)
    @rule()
    def begin_to_consume(self) -> None:
        self.born += 1
        key = UUID(int=self.born)
        self.consumers[key] = Consumer(key)

    @precondition(lambda self: self.ready and self.living)
    @rule(data=st.data(), count=st.integers(1, 6))
    def deliver(self, data: st.DataObject, count: int) -> None:
        consumer = self.one(data)
        for message in self.ready[:count]:
            consumer.sent += 1
            consumer.unacked[consumer.sent] = message
        del self.ready[:count]

    @precondition(lambda self: any(consumer.unacked for consumer in self.living))
    @rule(data=st.data())
    def store_and_acknowledge(self, data: st.DataObject) -> None:
        consumer = data.draw(st.sampled_from([one for one in self.living if one.unacked]))
        tags = data.draw(st.sets(st.sampled_from(sorted(consumer.unacked)), min_size=1))
        self.stored.update(consumer.unacked.pop(tag) for tag in tags)

    @precondition(lambda self: any(consumer.unacked for consumer in self.living))
    @rule(data=st.data())
    def give_one_back(self, data: st.DataObject) -> None:
        """It is out of the session's hands at once, and in the queue a moment later, before its next round trip."""
        consumer = data.draw(st.sampled_from([one for one in self.living if one.unacked]))
        tag = data.draw(st.sampled_from(sorted(consumer.unacked)))
        consumer.returning.append(consumer.unacked.pop(tag))
        consumer.given_back += 1

    @precondition(lambda self: any(consumer.returning for consumer in self.living))
    @rule(data=st.data())
    def returned_arrives(self, data: st.DataObject) -> None:
        self._arrive(data.draw(st.sampled_from([one for one in self.living if one.returning])))

    def _arrive(self, consumer: Consumer) -> None:
        self.ready = sorted(consumer.returning) + self.ready
        consumer.returning = []

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        consumer = self.one(data)
        consumer.dead = True
        self.homeless += [*consumer.unacked.values(), *consumer.returning]
        consumer.unacked, consumer.returning = {}, []

    @precondition(lambda self: any(consumer.dead for consumer in self.consumers.values()))
    @rule(data=st.data())
    def find_one_dead_and_wait_a_moment(self, data: st.DataObject) -> None:
        """The broker has said that the connection is gone; what it had is back when its row goes."""
        dead = data.draw(st.sampled_from([one for one in self.consumers.values() if one.dead]))
        self.ready = sorted(self.homeless) + self.ready
        self.homeless = []
        del self.consumers[dead.key]

    @precondition(lambda self: any(not one.unacked and not one.returning for one in self.living))
    @rule(data=st.data())
    def end_in_good_order(self, data: st.DataObject) -> None:
        idle = [one for one in self.living if not one.unacked and not one.returning]
        del self.consumers[data.draw(st.sampled_from(idle)).key]

    @precondition(lambda self: self.look is None)
    @rule()
    def begin_a_round(self) -> None:
        self.look = (self.accepted, len(self.ready), len(self.living))
        self.round += 1

    @precondition(lambda self: any(consumer.asked < self.round for consumer in self.living))
    @rule(data=st.data())
    def make_the_round_trip(self, data: st.DataObject) -> None:
        late = [one for one in self.living if one.asked < self.round]
        for consumer in data.draw(st.lists(st.sampled_from(late), min_size=1, unique_by=lambda one: one.key)):
            self._arrive(consumer)
            consumer.asked = self.round
            consumer.noted = consumer.sent

    @precondition(lambda self: any(consumer.noted is not None for consumer in self.living))
    @rule()
    def answer(self) -> None:
        for consumer in self.living:
            if consumer.noted is not None and not any(tag <= consumer.noted for tag in consumer.unacked):
                consumer.round = consumer.asked
                consumer.answer = Answer(consumer.noted, consumer.given_back)
                consumer.noted = None

    @precondition(lambda self: self.look and all(one.round >= self.round for one in self.consumers.values()))
    @rule()
    def all_have_answered(self) -> None:
        assert self.look is not None
        moment, waiting, consumers = self.look
        self.look = None
        answers = {key: consumer.answer for key, consumer in self.consumers.items()}
        proven = self.frontier.answered(Round(at(moment), waiting, consumers, answers))
        if proven is not None:
            before = range(round((proven - NOON).total_seconds()))
            missing = [message for message in before if message not in self.stored]
            assert not missing, f"{missing} were accepted by then, and are not stored"


TestAQueueAndItsConsumers = AQueueAndItsConsumers.TestCase
TestAQueueAndItsConsumers.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
