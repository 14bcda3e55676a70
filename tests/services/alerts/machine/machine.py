"""A state machine over all that happens to alerts: in any order, late, twice, with crashes between the steps."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import after
from tests.services.alerts.machine.facts import HOUR, LIMITS, START, Facts, Reading, Report
from tests.services.alerts.machine.in_memory import InMemory
from tests.services.alerts.machine.model import Model

METERS = st.sampled_from(["M1", "M2", "M3", "M4", "M5", "M6"])
MOVING = st.sampled_from(["M1", "M2", "M3", "M4"])
GATEWAYS = st.sampled_from(["G1", "G2"])
QUARTER = timedelta(minutes=15)


class Alerts(Protocol):
    """What is tested."""

    def reports(self) -> dict[str, Report]: ...
    def looked_at(self, until: datetime) -> set[str]: ...
    def stored(self, gateway: str, readings: Sequence[Reading]) -> None: ...
    def rules_changed(self, names: Sequence[str], judged_until: datetime) -> None: ...
    def fold(self, readings: Sequence[Reading], now: datetime) -> None: ...
    def sweep_gateways(self, until: datetime) -> None: ...
    def sweep(self, until: datetime) -> None: ...
    def leave(self) -> None: ...


@dataclass(frozen=True)
class Message:
    """A gateway's message, which the broker accepted; `accepted_at` is when."""

    gateway: str
    accepted_at: datetime
    readings: tuple[Reading, ...]


class Machine(RuleBasedStateMachine):
    """Gateways send, ingest stores, alerts folds and sweeps, people change rules; each when it likes."""

    alerts_of: Callable[[Facts], Alerts] = InMemory

    def __init__(self) -> None:
        super().__init__()
        self.facts = Facts()
        self.model = Model(self.facts)
        self.alerts = type(self).alerts_of(self.facts)
        self.now = START
        self.judged_until = START
        self.under_way: list[Message] = []
        self.events: list[tuple[Reading, ...]] = []
        self.accepted: list[Message] = []

    # Gateways

    @rule(gateway=GATEWAYS, meters=st.sets(METERS, min_size=1, max_size=3), age=st.integers(-2, 60))
    def send(self, gateway: str, meters: set[str], age: int) -> None:
        """Now and then of the future, often of the past."""
        self._send(gateway, [(one, self.now - age * HOUR / 2) for one in sorted(meters)])

    @rule(gateway=GATEWAYS)
    def send_nothing(self, gateway: str) -> None:
        """It lives, and hears no meter."""
        self._send(gateway, [])

    @precondition(lambda self: self.facts.stored)
    @rule(gateway=GATEWAYS, which=st.integers(0))
    def correct(self, gateway: str, which: int) -> None:
        stored = list(self.facts.stored)
        self._send(gateway, [stored[which % len(stored)]])

    # Ingest

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0), again=st.booleans())
    def store(self, which: int, again: bool) -> None:
        """In any order; one that is not acknowledged is stored again."""
        message = self.under_way[which % len(self.under_way)]
        if not again:
            self.under_way.remove(message)
        self.facts.store(message.gateway, message.accepted_at, message.readings)
        self.alerts.stored(message.gateway, message.readings)
        if message.readings:
            self.events.append(message.readings)

    # Alerts

    @precondition(lambda self: self.events)
    @rule(which=st.integers(0), again=st.booleans())
    def fold(self, which: int, again: bool) -> None:
        """In any order; killed before it acknowledged, it folds it again."""
        event = self.events[which % len(self.events)]
        if not again:
            self.events.remove(event)
        for side in (self.model, self.alerts):
            side.fold(list(event), self.now)

    @rule(passed=st.integers(1, 60))
    def judgement_is_held(self, passed: int) -> None:
        self.now += passed * HOUR / 2

    @rule(passed=st.integers(0, 60), lag=st.integers(0, 4))
    def tick(self, passed: int, lag: int) -> None:
        """As far as is known that all is stored."""
        self.now += passed * HOUR / 2
        self._move_judgement(lag)
        self._sweep_gateways()
        self._sweep()

    @rule(lag=st.integers(0, 4))
    def crash_after_sweeping_gateways(self, lag: int) -> None:
        self._move_judgement(lag)
        self._sweep_gateways()

    @rule()
    def sweep_on_another_replica(self) -> None:
        self._sweep_gateways()
        self._sweep()

    @rule(passed=st.integers(0, 60))
    def all_arrives(self, passed: int) -> None:
        """There is nothing that alerts does not look at, if it would make a difference."""
        self.now += passed * HOUR / 2
        while self.under_way:
            self.store(which=0, again=False)
        while self.events:
            self.fold(which=0, again=False)
        self._move_judgement(lag=0)
        self._sweep_gateways()
        self._sweep(looked_at=self.facts.meters)

    # People

    @rule(meter=METERS, limit=st.sampled_from(LIMITS))
    def change_limit(self, meter: str, limit: Limit) -> None:
        if self.facts.meters[meter].limit == limit:
            return
        self.facts.meters[meter].limit = limit
        self._rules_changed([meter, *self.model.gateways_of(meter)])

    @rule(meter=MOVING, gateway=st.none() | GATEWAYS)
    def expect_it_by(self, meter: str, gateway: str | None) -> None:
        if self.facts.meters[meter].gateway == gateway:
            return
        before = self.model.gateways_of(meter)
        self.facts.meters[meter].gateway = gateway
        self._rules_changed([meter, *(before | self.model.gateways_of(meter))])

    @rule(meter=MOVING, when=st.none() | st.integers(-1, 12))
    def delete_meter(self, meter: str, when: int | None) -> None:
        """Or take it back, with None."""
        deleted_at = None if when is None else self.now + when * HOUR
        if self.facts.meters[meter].deleted_at != deleted_at:
            self.facts.meters[meter].deleted_at = deleted_at
            self._rules_changed([meter, *self.model.gateways_of(meter)])

    @rule(gateway=GATEWAYS, hours=st.none() | st.sampled_from([3, 30, 90]))
    def change_silent_after(self, gateway: str, hours: int | None) -> None:
        silent_after = None if hours is None else hours * HOUR
        if self.facts.boxes[gateway].silent_after != silent_after:
            self.facts.boxes[gateway].silent_after = silent_after
            self._rules_changed([gateway])

    @rule(gateway=GATEWAYS, when=st.none() | st.integers(0, 6))
    def disable_gateway(self, gateway: str, when: int | None) -> None:
        """Or take it into use again, with None."""
        deleted_at = None if when is None else self.now + when * HOUR
        if self.facts.boxes[gateway].deleted_at != deleted_at:
            self.facts.boxes[gateway].deleted_at = deleted_at
            self._rules_changed([gateway, *self.model.meters_of(gateway)])

    @override
    def teardown(self) -> None:
        self.alerts.leave()

    # What must hold

    @invariant()
    def alerts_says_what_the_model_says(self) -> None:
        """And tells each silence once, and its end after it."""
        reports, expected = self.alerts.reports(), self.model.reports()
        different = {name: (one, expected[name]) for name, one in reports.items() if one != expected[name]}
        assert not different, different
        for report in reports.values():
            assert all(closed is not None for _, closed in report.alerts[:-1])
            told = [event.partition(".")[2] for event in report.events]
            opened = [opened for opened, _ in report.alerts].count("silence")
            assert opened == sum(event in {"stale", "silent"} for event in told)
            assert ("recovered", "recovered") not in pairwise(told)

    # How

    def _send(self, gateway: str, readings: Iterable[tuple[str, datetime]]) -> None:
        self.now += timedelta(seconds=1)
        message = Message(
            gateway, self.now, tuple(Reading(meter, timestamp, gateway, self.now) for meter, timestamp in readings)
        )
        self.under_way.append(message)
        self.accepted.append(message)

    def _move_judgement(self, lag: int) -> None:
        stored_until = min((one.accepted_at for one in self.under_way), default=self.now)
        self.judged_until = max(self.judged_until, min(stored_until, self.now - lag * QUARTER))

    def _sweep_gateways(self) -> None:
        for side in (self.model, self.alerts):
            side.sweep_gateways(self.judged_until)

    def _sweep(self, looked_at: Collection[str] = ()) -> None:
        before = self.alerts.reports()
        self.model.sweep(self.judged_until, looked_at or self.alerts.looked_at(self.judged_until))
        self.alerts.sweep(self.judged_until)
        for name, meter in self.facts.meters.items():
            told = self.alerts.reports()[name].events[len(before[name].events) :]
            if "installation.stale" in told:
                for message in self.accepted:
                    for reading in message.readings:
                        if reading.meter == name and message.accepted_at < self.judged_until:
                            heard_until = after(reading.timestamp, meter.limit.stale_after, meter.limit.quiet)
                            assert heard_until <= self.judged_until, "it cried wolf"

    def _rules_changed(self, names: list[str]) -> None:
        self.model.rules_changed(names, self.judged_until, self.alerts.looked_at(self.judged_until))
        self.alerts.rules_changed(names, self.judged_until)
