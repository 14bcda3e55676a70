"""Alerts as it is, but for its database: the rules, with lazy timers, on rows in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.alerts.rules import gateways as gateway_rules
from services.alerts.rules.gateways import GatewaySilence
from services.alerts.rules.staleness import (
    Consequence,
    Gateways,
    Silence,
    Verdict,
    judged_afresh_from,
    on_a_reading,
    on_the_clock,
)
from shared.models import GatewayState, InstallationState
from tests.services.alerts.machine.facts import START, Facts, Reading, Report

OPENED = {Consequence.OPEN: "silence", Consequence.OPEN_QUIETLY: "rules_changed"}
CLOSED = {Consequence.CLOSE: "heard", Consequence.CLOSE_QUIETLY: "rules_changed", Consequence.REMOVE: "removed"}
FRESH = InstallationState.FRESH


@dataclass
class Alerts:
    """The alerts of one meter or gateway, and the events of them."""

    opened_and_closed: list[tuple[str, str | None]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether one is."""
        return bool(self.opened_and_closed) and self.opened_and_closed[-1][1] is None

    def take(self, consequence: Consequence, opening: str, closing: str) -> None:
        """Do what a verdict says; the events are told of silence only."""
        if consequence in OPENED:
            assert not self.is_open
            self.opened_and_closed.append((OPENED[consequence], None))
            if consequence is Consequence.OPEN:
                self.events.append(opening)
        elif consequence in CLOSED:
            assert self.is_open
            opened, _ = self.opened_and_closed[-1]
            self.opened_and_closed[-1] = (opened, CLOSED[consequence])
            if consequence is Consequence.CLOSE and opened == "silence":
                self.events.append(closing)


@dataclass
class MeterRow:
    """A row of `installation_status`."""

    due_at: datetime | None = START
    state: InstallationState = InstallationState.NEVER_SEEN
    state_since: datetime = START
    last: Reading | None = None
    judged_from: datetime | None = None
    rules_changed_at: datetime | None = None
    alerts: Alerts = field(default_factory=Alerts)


@dataclass
class GatewayRow:
    """A row of `gateway_status`."""

    due_at: datetime | None = START
    state: GatewayState = GatewayState.HEARD
    silent_from: datetime = START
    heard_before: datetime | None = None
    rules_changed_at: datetime | None = None
    alerts: Alerts = field(default_factory=Alerts)


class InMemory:
    """The operations of alerts."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.meters = {name: MeterRow() for name in facts.meters}
        self.gateways = {name: GatewayRow() for name in facts.boxes}

    def reports(self) -> dict[str, Report]:
        """What is to be seen."""
        rows: dict[str, MeterRow | GatewayRow] = {**self.meters, **self.gateways}
        return {
            name: Report(
                row.state.value,
                row.last.timestamp if isinstance(row, MeterRow) and row.last else None,
                tuple(row.alerts.opened_and_closed),
                tuple(row.alerts.events),
            )
            for name, row in rows.items()
        }

    def looked_at(self, until: datetime) -> set[str]:
        """Whom a sweep would look at."""
        rows: dict[str, MeterRow | GatewayRow] = {**self.meters, **self.gateways}
        return {name for name, row in rows.items() if _is_due(row, until)}

    def stored(self, gateway: str, readings: Sequence[Reading]) -> None:
        """The facts say so."""

    def leave(self) -> None:
        """Nobody else looks at them."""

    def rules_changed(self, names: Sequence[str], judged_until: datetime) -> None:
        """What the triggers do."""
        for name in names:
            row = self.meters.get(name) or self.gateways[name]
            # Who waits to be judged by the old rules waits still.
            if not _is_due(row, judged_until):
                row.due_at, row.rules_changed_at = judged_until, judged_until

    def fold(self, readings: Sequence[Reading], now: datetime) -> None:
        """As `operations.folding`."""
        for reading in readings:
            row = self.meters[reading.meter]
            if not reading.is_news_to(row.last):
                continue
            if row.last is None or row.last.gateway != reading.gateway:
                # It has another meter: it may fall silent earlier.
                gateway = self.gateways[reading.gateway]
                gateway.due_at = min(gateway.due_at or reading.received_at, reading.received_at)
            row.last = reading
            if row.state is not FRESH:
                self._take(row, on_a_reading(self._silence(reading.meter), now))

    def sweep_gateways(self, until: datetime) -> None:
        """As `operations.gateways`."""
        for name, row in self.gateways.items():
            box = self.facts.boxes[name]
            heard_again = row.state is GatewayState.SILENT and box.heard_at != row.heard_before
            if not _is_due(row, until) and not heard_again:
                continue
            was_silent = row.state is GatewayState.SILENT
            silence = self._gateway_silence(name, until)
            verdict = gateway_rules.on_the_clock(silence, until)
            if not was_silent:
                row.silent_from = silence.due_at
            row.state, row.due_at = verdict.state, verdict.due_at
            row.alerts.take(verdict.alert, "gateway.silent", "gateway.recovered")
            if verdict.alert in OPENED:
                row.heard_before = box.heard_at
            if was_silent and row.state is GatewayState.HEARD:
                for meter in self._meters_of(name):
                    known = self.meters[meter]
                    if not known.alerts.is_open:
                        last_heard_at = known.last.timestamp if known.last else self.facts.meters[meter].installed_at
                        known.judged_from = judged_afresh_from(
                            known.judged_from, last_heard_at, back=[row.silent_from], until=until
                        )
                        known.due_at = until

    def sweep(self, until: datetime) -> None:
        """As `operations.sweeping`."""
        for name, row in self.meters.items():
            if not _is_due(row, until):
                continue
            silence = self._silence(name)
            if silence.due_at <= until and not silence.is_removed(until):
                newest = self.facts.newest_of(name)
                if newest and (row.last is None or row.last.timestamp < newest.timestamp):
                    row.last = replace(newest, gateway=row.last.gateway if row.last else "")
                    silence = self._silence(name)
                    if row.state is not FRESH:
                        self._take(row, on_a_reading(silence, until))
                        silence = self._silence(name)
            self._take(row, on_the_clock(silence, until, self._standing(name, until)), since=silence.due_at)

    def _take(self, row: MeterRow, verdict: Verdict, *, since: datetime = START) -> None:
        if verdict.state is not row.state:
            row.state_since = since
        row.state, row.due_at = verdict.state, verdict.due_at
        row.judged_from = verdict.judged_from or row.judged_from
        row.alerts.take(verdict.alert, "installation.stale", "installation.recovered")

    def _silence(self, name: str) -> Silence:
        meter, row = self.facts.meters[name], self.meters[name]
        return Silence(
            state=row.state,
            state_since=row.state_since,
            installed_at=meter.installed_at,
            registered_at=START,
            deleted_at=meter.deleted_at,
            last_reading_at=row.last.timestamp if row.last else None,
            judged_from=row.judged_from,
            rules_changed_at=row.rules_changed_at,
            alerted=row.alerts.is_open,
            limit=meter.limit,
        )

    def _gateway_silence(self, name: str, until: datetime) -> GatewaySilence:
        box, row = self.facts.boxes[name], self.gateways[name]
        meters = [self.facts.meters[one] for one in self._meters_of(name)]
        return GatewaySilence(
            state=row.state,
            state_since=row.heard_before or START,
            registered_at=START,
            heard_at=box.heard_at,
            deleted_at=box.deleted_at,
            silent_after=box.silent_after,
            limits=frozenset(one.limit for one in meters if one.deleted_at is None or one.deleted_at > until),
            rules_changed_at=row.rules_changed_at,
            alerted=row.alerts.is_open,
        )

    def _gateways_of(self, name: str) -> set[str]:
        last = self.meters[name].last
        return {one for one in (self.facts.meters[name].gateway, last.gateway if last else None) if one}

    def _meters_of(self, gateway: str) -> list[str]:
        return [name for name in self.meters if gateway in self._gateways_of(name)]

    def _standing(self, name: str, until: datetime) -> Gateways:
        boxes = self.facts.boxes
        rows = [
            self.gateways[one]
            for one in self._gateways_of(name)
            if (deleted_at := boxes[one].deleted_at) is None or deleted_at > until
        ]
        if not rows or any(one.state is GatewayState.HEARD and not _is_due(one, until) for one in rows):
            return Gateways.HEARD
        return Gateways.UNKNOWN if any(_is_due(one, until) for one in rows) else Gateways.SILENT


def _is_due(row: MeterRow | GatewayRow, until: datetime) -> bool:
    return row.due_at is not None and row.due_at <= until
