"""What rounds prove: by hand, and in a simulated queue whose consumers store, give back, die, and meet strangers."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.rules.frontier import REMEMBERED, Answer, Frontier, Round

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def asked(
    second: int,
    *received: int,
    waiting: int = 0,
    consumers: int | None = None,
    given_back: int = 0,
    prioritised: int = 0,
) -> Round:
    numbered = enumerate(received, 1)
    answers = {UUID(int=number): Answer(count, given_back, prioritised, 1) for number, count in numbered}
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


@pytest.mark.parametrize(("before", "then"), [(1, 2), (1, None), (None, 1), (None, None)])
def test_a_consumer_beside_a_session_that_had_not_the_same_one_all_the_time_may_be_a_stranger(
    before: int | None, then: int | None
) -> None:
    def told(second: int, consumer: int | None) -> Round:
        return Round(at(second), 0, 1, {A: Answer(5, 0, 0, consumer)})

    settled = [told(1, 1), told(2, 1), told(3, before)]
    assert after(*settled, told(4, then)) is None
    assert after(*settled, told(4, then), told(5, 7), told(6, 7), told(7, 7)) == at(7)


def test_what_is_in_the_way_of_a_proof_is_said_in_words() -> None:
    def obstacle(*rounds: Round) -> str:
        frontier = Frontier()
        for question in rounds:
            frontier.answered(question)
        return frontier.obstacle

    strange = "2 consumers on ingest's queue, of which 1 known as ingest's"
    assert obstacle() == "nothing is known of ingest yet"
    assert obstacle(asked(1)) == "no ingest consumes"
    assert obstacle(asked(1, 0), asked(2, 0, consumers=2)) == strange
    assert obstacle(asked(1, 0), asked(2, 0, waiting=1)) == "1 message in ingest's queue, and it does not keep up"
    assert obstacle(asked(1, 0, 0), asked(2, 0)) == "sessions of ingest have come or gone, or gave messages back"


def test_another_set_of_sessions_begins_anew() -> None:
    before = [asked(1, 5), asked(2, 5)]
    assert after(*before, asked(3, 5, 0)) is None
    assert after(*before, asked(3, 5, 0), asked(4, 5, 0)) is None
    assert after(*before, asked(3, 5, 0), asked(4, 5, 0), asked(5, 5, 0)) == at(5)


def test_what_was_given_back_begins_anew() -> None:
    before = [asked(1, 5), asked(2, 5), asked(3, 5, waiting=1)]
    assert after(*before, asked(4, 9, given_back=1), asked(5, 9, given_back=1)) is None
    again = [asked(second, 9, given_back=1) for second in (4, 5, 6)]
    assert after(*before, *again) == at(6)


def test_while_messages_with_a_priority_come_only_an_empty_queue_proves_anything() -> None:
    before = [asked(1, 5), asked(2, 5), asked(3, 5, waiting=1)]
    assert after(*before, asked(4, 9, waiting=1), asked(5, 9, waiting=1)) == at(3)
    assert after(*before, asked(4, 9, waiting=1, prioritised=1), asked(5, 9, waiting=1, prioritised=1)) is None
    assert after(*before, asked(4, 9, prioritised=1)) == at(4)
    assert after(*before, *(asked(4 + n, 9 + n, prioritised=1 + n) for n in range(9))) == at(12)


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
    on_the_way_back: list[int] = field(default_factory=list)
    asked: int = 0
    noted: int | None = None
    round: int = 0
    received: int = 0
    dead: bool = False
    consumes: bool = False
    cancelled: set[int] = field(default_factory=set)
    spell: int | None = None
    spells: int = 0
    told: int | None = None

    @property
    def counted(self) -> int:
        """How many consumers the broker counts: also the cancelled that have messages in hand."""
        return self.consumes + bool(self.cancelled & self.unacked.keys())

    def end_spell(self) -> None:
        if not self.consumes and not self.unacked:
            self.spell = None

    @property
    def answer(self) -> Answer:
        return Answer(self.received, self.given_back, 0, self.told)


@dataclass
class Stranger:
    """Somebody else who takes messages, and gives them back when he goes."""

    taken: list[int] = field(default_factory=list)
    was_seen: bool = False


class Simulation:
    """A queue, its consumers and the leader of the rounds, who all do what they do in an order of chance.

    Messages are numbered as they are accepted, and the time is how many there are: what is proven must be stored. What
    is given back, and what the dead had in hand, comes back to the head of the queue, and not at once. A stranger stays
    for one look at least: of one who comes and goes between two of them nobody can know.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.frontier = Frontier()
        self.accepted = 0
        self.ready: list[int] = []
        self.stored: set[int] = set()
        self.consumers = {key: Consumer(key) for key in (A, B)}
        self.born = len(self.consumers)
        self.strangers: list[Stranger] = []
        self.round = 0
        self.look: Round | None = None
        self.proofs = 0

    def run(self, steps: int) -> None:
        """Take so many steps, each kind as often as chance has it; those that break the order are rare."""
        often = [self.accept, self.deliver, self.store, self.ask, self.make_a_round_trip, self.answer, self.hear]
        consume, cancel = self.chance.choice([(3, 0.3), (100, 1), (100, 20)])
        rarely = {
            self.consume: consume,
            self.cancel: cancel,
            self.give_back: 0.5,
            self.begin: 0.3,
            self.end_in_good_order: 0.3,
            self.die: 0.3,
            self.find_the_dead: 10,
            self.a_stranger_comes: 1,
            self.strangers_take: 10,
            self.strangers_go: 1,
        }
        weights = [*(self.chance.choice([10, 30, 100]) for _ in often), *rarely.values()]
        for step in self.chance.choices([*often, *rarely], weights, k=steps):
            step()

    def one_of(self, consumers: list[Consumer]) -> Consumer | None:
        return self.chance.choice(consumers) if consumers else None

    @property
    def living(self) -> list[Consumer]:
        return [consumer for consumer in self.consumers.values() if not consumer.dead]

    @property
    def busy(self) -> list[Consumer]:
        return [consumer for consumer in self.living if consumer.unacked]

    def accept(self) -> None:
        if len(self.ready) < 20:
            count = self.chance.randint(1, 5)
            self.ready.extend(range(self.accepted, self.accepted + count))
            self.accepted += count

    def deliver(self) -> None:
        if consumer := self.one_of([one for one in self.living if one.consumes]):
            count = self.chance.randint(1, 4)
            for message in self.ready[:count]:
                consumer.sent += 1
                consumer.unacked[consumer.sent] = message
            del self.ready[:count]

    def store(self) -> None:
        if consumer := self.one_of(self.busy):
            tags = self.chance.sample(sorted(consumer.unacked), self.chance.randint(1, len(consumer.unacked)))
            self.stored.update(consumer.unacked.pop(tag) for tag in tags)
            consumer.end_spell()

    def give_back(self) -> None:
        if consumer := self.one_of(self.busy):
            consumer.on_the_way_back.append(consumer.unacked.pop(self.chance.choice(list(consumer.unacked))))
            consumer.given_back += 1
            consumer.end_spell()

    def comes_back(self, consumer: Consumer) -> None:
        self.ready = sorted(consumer.on_the_way_back) + self.ready
        consumer.on_the_way_back = []

    def ask(self) -> None:
        if self.look is None:
            consumers = sum(one.counted for one in self.living) + len(self.strangers)
            self.look = Round(at(self.accepted), len(self.ready), consumers, {})
            for stranger in self.strangers:
                stranger.was_seen = True
            self.round += 1

    def make_a_round_trip(self) -> None:
        if consumer := self.one_of([one for one in self.living if one.asked < self.round]):
            self.comes_back(consumer)
            consumer.asked = self.round
            consumer.noted = consumer.sent

    def answer(self) -> None:
        for consumer in self.living:
            if consumer.noted is not None and min(consumer.unacked, default=consumer.noted + 1) > consumer.noted:
                consumer.round, consumer.received, consumer.noted = consumer.asked, consumer.noted, None
                consumer.told = consumer.spell

    def hear(self) -> None:
        if self.look is None or any(consumer.round < self.round for consumer in self.consumers.values()):
            return
        answers = {key: consumer.answer for key, consumer in self.consumers.items()}
        proven = self.frontier.answered(replace(self.look, answers=answers))
        self.look = None
        if proven is not None:
            self.proofs += 1
            missing = set(range(round((proven - NOON).total_seconds()))) - self.stored
            assert not missing, f"{missing} were accepted by then, and are not stored"

    def consume(self) -> None:
        if consumer := self.one_of([one for one in self.living if not one.consumes]):
            consumer.consumes = True
            if consumer.spell is None:
                consumer.spells += 1
                consumer.spell = consumer.spells

    def cancel(self) -> None:
        if consumer := self.one_of(self.living):
            consumer.consumes = False
            consumer.cancelled.update(consumer.unacked)
            consumer.end_spell()

    def a_stranger_comes(self) -> None:
        if not self.strangers:
            self.strangers.append(Stranger())

    def strangers_take(self) -> None:
        for stranger in self.strangers:
            stranger.taken += self.ready[:1]
            del self.ready[:1]

    def strangers_go(self) -> None:
        for stranger in [one for one in self.strangers if one.was_seen]:
            self.ready = stranger.taken + self.ready
            self.strangers.remove(stranger)

    def begin(self) -> None:
        if len(self.consumers) < 4:
            self.born += 1
            self.consumers[UUID(int=self.born)] = Consumer(UUID(int=self.born))

    def end_in_good_order(self) -> None:
        idle = [one for one in self.living if not one.unacked and not one.on_the_way_back]
        if len(self.consumers) > 1 and (consumer := self.one_of(idle)):
            del self.consumers[consumer.key]

    def die(self) -> None:
        if len(self.living) > 1 and (consumer := self.one_of(self.living)):
            consumer.dead = True
            consumer.on_the_way_back += consumer.unacked.values()
            consumer.unacked = {}

    def find_the_dead(self) -> None:
        """The broker has said that the connection is gone; what it had in hand is back by the time its row goes."""
        for consumer in [one for one in self.consumers.values() if one.dead]:
            self.frontier.forget()
            self.comes_back(consumer)
            del self.consumers[consumer.key]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_whatever_consumers_do_nothing_accepted_before_what_is_proven_is_not_stored(seed: int) -> None:
    Simulation(random.Random(seed)).run(8000)


def test_much_is_proven_in_the_simulation() -> None:
    simulations = [Simulation(random.Random(seed)) for seed in range(100)]
    for simulation in simulations:
        simulation.run(8000)
    assert sum(simulation.proofs for simulation in simulations) > 100
