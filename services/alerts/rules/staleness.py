"""The rules of silence: when an installation falls due, and what a reading or the clock make of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import after
from shared.models import InstallationState

A_MOMENT = timedelta(seconds=1)
"""How long an installation waits for the judgement of its gateways."""


class Gateways(Enum):
    """What is known of the gateways of an installation: the expected one, and the one that heard it last."""

    HEARD = auto()
    """One of them at least, or there is none in use: what is not heard is the meter."""
    SILENT = auto()
    """All of them, and there is one: nothing can be known of the meter."""
    UNKNOWN = auto()
    """One of them is due itself, and no other is heard."""


class Consequence(Enum):
    """What becomes of the alert. Only silence and being heard are news; what people change, they know."""

    NOTHING = auto()
    OPEN = auto()
    OPEN_QUIETLY = auto()
    """Without an event: a change of rules made it due."""
    CLOSE = auto()
    """With an event, where it was opened with one."""
    CLOSE_QUIETLY = auto()
    """Without an event: a change of rules."""
    REMOVE = auto()
    """Closed without an event, since its subject is gone."""


@dataclass(frozen=True)
class Silence:
    """What the rules need to know of an installation. `alerted` is whether an alert is open."""

    state: InstallationState
    state_since: datetime
    installed_at: datetime
    registered_at: datetime
    deleted_at: datetime | None
    last_reading_at: datetime | None
    judged_from: datetime | None
    rules_changed_at: datetime | None
    alerted: bool
    limit: Limit

    @property
    def silent_since(self) -> datetime:
        """From when its silence counts: its newest reading or its installation, or when its gateway was back."""
        last = self.last_reading_at or self.installed_at
        return last if self.judged_from is None else max(last, self.judged_from)

    @property
    def due_at(self) -> datetime:
        """From when on the silence that counts is longer than the limit."""
        return self._longer_than_its_limit(self.silent_since)

    @property
    def silent_beyond_limit_at(self) -> datetime:
        """From when on it is silent for longer than the limit, whether or not it could have been heard."""
        return self._longer_than_its_limit(self.last_reading_at or self.installed_at)

    def _longer_than_its_limit(self, since: datetime) -> datetime:
        grace_ends = max(self.installed_at, self.registered_at) + self.limit.grace
        return max(after(since, self.limit.stale_after, self.limit.quiet), grace_ends)

    @property
    def was_suppressed(self) -> bool:
        """Whether it is stale and not reported, or not any more since it was removed, and not judged afresh since."""
        return self.state is InstallationState.STALE and not self.alerted and self.due_at <= self.state_since

    def is_removed(self, moment: datetime) -> bool:
        """Whether it is deleted by `moment`."""
        return self.deleted_at is not None and self.deleted_at <= moment


@dataclass(frozen=True)
class Verdict:
    """The state from now on, when to look again (None: only something new can make a difference), and the alert.

    `judged_from` is from when its silence counts from now on; None: as before.
    """

    state: InstallationState
    due_at: datetime | None
    alert: Consequence = Consequence.NOTHING
    judged_from: datetime | None = None


def judged_afresh_from(
    judged_from: datetime | None, last_heard_at: datetime, *, back: Iterable[datetime], until: datetime
) -> datetime | None:
    """From when the silence of an installation counts some of whose gateways are `back` by `until`.

    Of each of these it is said since when it was silent. From now on, the first time since the installation was last
    heard, or installed: it has a whole limit to be heard in. After that only the time in which the gateway was silent
    does not count: else a dead meter would never be found behind one that comes and goes.
    """
    for silent_from in back:
        if judged_from is None or judged_from <= last_heard_at:
            judged_from = until
        else:
            judged_from = min(judged_from + (until - silent_from), until)
    return judged_from


def on_the_clock(silence: Silence, until: datetime, gateways: Gateways) -> Verdict:
    """What the passing of time makes of an installation that was to be looked at; all is known that came by `until`.

    A reading that was found on this occasion goes through `on_a_reading` first: a stale one that is within its limit
    here is so by a change of rules.
    """
    if silence.is_removed(until):
        return Verdict(silence.state, None, Consequence.REMOVE if silence.alerted else Consequence.NOTHING)
    due_at = silence.due_at
    if due_at > until:
        return _within_its_limit(silence, until, due_at)
    if silence.alerted or gateways is Gateways.SILENT:
        return Verdict(InstallationState.STALE, silence.deleted_at)
    if gateways is Gateways.UNKNOWN:
        return Verdict(silence.state, until + A_MOMENT)
    if silence.was_suppressed:
        # Not by a gateway that is back, which has it judged afresh: it is to be heard by another now, or in use again.
        afresh = replace(silence, judged_from=until)
        return Verdict(InstallationState.STALE, _next_look(afresh, afresh.due_at), judged_from=until)
    return Verdict(InstallationState.STALE, silence.deleted_at, opening(due_at, silence.rules_changed_at))


def on_a_reading(silence: Silence, now: datetime) -> Verdict:
    """What a newer reading, already in `silence`, makes of an installation that was not fresh.

    A back-filled old reading is no recovery. One that was never seen has been seen now, however old the reading is;
    the clock judges it next. Where a stale one stays so it is looked at once more, since it may have been about to be.
    """
    stays = silence.is_removed(now) or silence.silent_beyond_limit_at <= now
    if silence.state is InstallationState.STALE and stays:
        return Verdict(InstallationState.STALE, now)
    alert = Consequence.CLOSE if silence.alerted else Consequence.NOTHING
    return Verdict(InstallationState.FRESH, _next_look(silence, silence.due_at), alert)


def _within_its_limit(silence: Silence, until: datetime, due_at: datetime) -> Verdict:
    if silence.state is not InstallationState.STALE:
        return Verdict(silence.state, _next_look(silence, due_at))
    if silence.silent_beyond_limit_at > until:
        state = InstallationState.NEVER_SEEN if silence.last_reading_at is None else InstallationState.FRESH
        alert = Consequence.CLOSE_QUIETLY if silence.alerted else Consequence.NOTHING
        return Verdict(state, _next_look(silence, due_at), alert)
    # Stale still, while its gateway has not been back for so long.
    return Verdict(InstallationState.STALE, silence.deleted_at if silence.alerted else _next_look(silence, due_at))


def opening(due_at: datetime, rules_changed_at: datetime | None) -> Consequence:
    """How the alert of a silence is opened: what it is by rules that changed after it was due is no news of it."""
    if rules_changed_at is not None and due_at <= rules_changed_at:
        return Consequence.OPEN_QUIETLY
    return Consequence.OPEN


def _next_look(silence: Silence, due_at: datetime) -> datetime:
    return due_at if silence.deleted_at is None else min(due_at, silence.deleted_at)
