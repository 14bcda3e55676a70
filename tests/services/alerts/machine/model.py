"""The naive model of alerts: it has no timers, looks at everything each time, and computes all from the facts anew."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import after
from tests.services.alerts.machine.facts import START, Facts, Reading, Report

LONG_AGO = START - timedelta(days=9)


@dataclass
class Known:
    """What was said of a meter or gateway so far. `alerts` are pairs: why it was opened, and why it was closed."""

    state: str
    last: Reading | None = None
    judged_from: datetime = LONG_AGO
    silent_from: datetime = LONG_AGO
    """When it fell stale or silent, if it is."""
    rules_changed_at: datetime = LONG_AGO
    rules_are_new: bool = False
    heard_before: datetime | None = None
    alerts: list[tuple[str, str | None]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def alerted(self) -> bool:
        """Whether an alert is open."""
        return bool(self.alerts) and self.alerts[-1][1] is None

    def open(self, due_at: datetime, event: str) -> None:
        """Open an alert, and say so where it is not the work of a change of rules."""
        news = due_at > self.rules_changed_at
        self.alerts.append(("silence" if news else "rules_changed", None))
        if news:
            self.events.append(event)

    def close(self, because: str, event: str) -> None:
        """Close the alert, if one is open, and say so where its opening was said and it was heard."""
        if self.alerted:
            opened, _ = self.alerts[-1]
            self.alerts[-1] = (opened, because)
            if (opened, because) == ("silence", "heard"):
                self.events.append(event)


class Model:
    """What alerts should have said by now."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.known = {one: Known("never_seen") for one in facts.meters} | {one: Known("heard") for one in facts.boxes}

    def reports(self) -> dict[str, Report]:
        """What should be seen."""
        return {
            name: Report(
                known.state, known.last.timestamp if known.last else None, tuple(known.alerts), tuple(known.events)
            )
            for name, known in self.known.items()
        }

    def rules_changed(self, names: Sequence[str], judged_until: datetime, looked_at: Collection[str]) -> None:
        """The rules of these are others now. One that is to be looked at already may have been due by the old ones."""
        for name in names:
            self.known[name].rules_are_new = True
            if name not in looked_at:
                self.known[name].rules_changed_at = judged_until

    def fold(self, readings: Sequence[Reading], now: datetime) -> None:
        """Hear of readings."""
        for reading in readings:
            known = self.known[reading.meter]
            if reading.is_news_to(known.last):
                known.last = reading
                self._heard(reading.meter, now)

    def sweep_gateways(self, until: datetime) -> None:
        """Judge all gateways, but of the silent ones those only that were heard, or that people changed.

        That a meter of a silent one is heard by another by now makes no difference.
        """
        for name, box in self.facts.boxes.items():
            known = self.known[name]
            removed = box.deleted_at is not None and box.deleted_at <= until
            due_at = self._gateway_due_at(name, until)
            heard = box.heard_at != known.heard_before
            if known.state == "silent" and not (heard or removed or known.rules_are_new):
                continue
            known.rules_are_new = False
            was_silent, known.state = known.state == "silent", "heard"
            if removed:
                known.close("removed", "")
            elif due_at <= until:
                known.state = "silent"
                if not was_silent:
                    known.silent_from = due_at
                    known.open(due_at, "gateway.silent")
                    known.heard_before = box.heard_at
            else:
                known.close("heard" if heard else "rules_changed", "gateway.recovered")
            if was_silent and known.state == "heard":
                for meter in self.meters_of(name):
                    if not self.known[meter].alerted:
                        self._judge_afresh(meter, known.silent_from, until)

    def sweep(self, until: datetime, looked_at: Collection[str]) -> None:
        """Judge all meters, but of the stale ones those only that alerts looks at: what it reads there is news."""
        for name, meter in self.facts.meters.items():
            known = self.known[name]
            if meter.deleted_at is not None and meter.deleted_at <= until:
                known.close("removed", "")
                continue
            if known.state == "stale" and name not in looked_at:
                continue
            newest = self.facts.newest_of(name)
            if self._due_at(name) <= until and newest and (not known.last or newest.timestamp > known.last.timestamp):
                # By which gateway it came only its event tells.
                known.last = replace(newest, gateway=known.last.gateway if known.last else "")
                self._heard(name, until)
            if self._beyond_limit_at(name) > until:
                if known.state == "stale":
                    known.close("rules_changed", "")
                    known.state = "fresh" if known.last else "never_seen"
            elif self._due_at(name) <= until and not known.alerted:
                self._beyond_its_limit(name, until)

    def _beyond_its_limit(self, name: str, until: datetime) -> None:
        known, due_at = self.known[name], self._due_at(name)
        suppressed = known.state == "stale" and due_at <= known.silent_from
        if known.state != "stale":
            known.state, known.silent_from = "stale", due_at
        if self._cannot_be_heard(name, until):
            return
        if suppressed:
            # Another gateway is to hear it now than the one that was silent.
            known.judged_from = until
        else:
            known.open(due_at, "installation.stale")

    def _judge_afresh(self, name: str, gateway_silent_from: datetime, until: datetime) -> None:
        """It has a whole limit to be heard in; a second one, before it was heard, only the time of this silence."""
        known = self.known[name]
        last_heard_at = known.last.timestamp if known.last else self.facts.meters[name].installed_at
        if known.judged_from <= last_heard_at:
            known.judged_from = until
        else:
            known.judged_from = min(known.judged_from + (until - gateway_silent_from), until)

    def _heard(self, name: str, now: datetime) -> None:
        known, meter = self.known[name], self.facts.meters[name]
        deleted = meter.deleted_at is not None and meter.deleted_at <= now
        if known.state == "stale" and (deleted or self._beyond_limit_at(name) <= now):
            return
        known.state = "fresh"
        known.close("heard", "installation.recovered")

    def _beyond_limit_at(self, name: str, judged_from: datetime | None = None) -> datetime:
        meter, last = self.facts.meters[name], self.known[name].last
        since = last.timestamp if last else meter.installed_at
        if judged_from is not None:
            since = max(since, judged_from)
        grace_ends = max(START, meter.installed_at) + meter.limit.grace
        return max(after(since, meter.limit.stale_after, meter.limit.quiet), grace_ends)

    def _due_at(self, name: str) -> datetime:
        return self._beyond_limit_at(name, self.known[name].judged_from)

    def gateways_of(self, name: str) -> set[str]:
        """Those that are to hear a meter, or did so last."""
        last = self.known[name].last
        return {one for one in (self.facts.meters[name].gateway, last.gateway if last else None) if one}

    def meters_of(self, gateway: str) -> list[str]:
        """The meters of a gateway."""
        return [one for one in self.facts.meters if gateway in self.gateways_of(one)]

    def _cannot_be_heard(self, name: str, until: datetime) -> bool:
        boxes = self.facts.boxes
        in_use = [
            one for one in self.gateways_of(name) if (deleted_at := boxes[one].deleted_at) is None or deleted_at > until
        ]
        return bool(in_use) and all(self.known[one].state == "silent" for one in in_use)

    def _gateway_due_at(self, gateway: str, until: datetime) -> datetime:
        box = self.facts.boxes[gateway]
        limits: list[Limit] = []
        for name in self.meters_of(gateway):
            meter = self.facts.meters[name]
            if meter.deleted_at is None or meter.deleted_at > until:
                limits.append(meter.limit)
        allowed = [
            (box.silent_after or min(timedelta(hours=36), one.stale_after * 0.75), one.quiet) for one in limits
        ] or [(box.silent_after or timedelta(hours=36), None)]
        return min(after(box.heard_at or START, counted, quiet) for counted, quiet in allowed)
