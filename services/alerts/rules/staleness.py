"""The rules of silence: when an installation falls due, and what a reading or the clock make of it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.models import InstallationState


@dataclass(frozen=True)
class Silence:
    """What the rules need to know of an installation. `limit` is how long it may be silent."""

    state: InstallationState
    installed_at: datetime
    deleted_at: datetime | None
    last_reading_at: datetime | None
    limit: timedelta

    @property
    def silent_since(self) -> datetime:
        """The time of the newest reading; of the installation where there is none."""
        return self.last_reading_at or self.installed_at

    @property
    def due_at(self) -> datetime:
        """From when on the silence is longer than the limit."""
        return self.silent_since + self.limit


@dataclass(frozen=True)
class Verdict:
    """The state that an installation is in from now on, and when to look at it again."""

    state: InstallationState
    due_at: datetime | None


def on_the_clock(silence: Silence, now: datetime) -> Verdict:
    """What the passing of time makes of an installation that was to be looked at by `now`."""
    if silence.deleted_at is not None and silence.deleted_at <= now:
        return Verdict(silence.state, None)
    if silence.state is InstallationState.STALE:
        return Verdict(InstallationState.STALE, None)
    if silence.due_at <= now:
        return Verdict(InstallationState.STALE, None)
    return Verdict(silence.state, silence.due_at)


def on_a_reading(silence: Silence, now: datetime) -> Verdict:
    """What a newer reading, already in `silence`, makes of an installation that was not fresh.

    A back-filled old reading is no recovery. One that was never seen has been seen now, however old the reading is;
    the clock judges it next.
    """
    if silence.state is InstallationState.STALE and silence.due_at <= now:
        return Verdict(InstallationState.STALE, None)
    return Verdict(InstallationState.FRESH, silence.due_at)
