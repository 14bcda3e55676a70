"""When silence may be judged at all: never while a reading may still be under way because of our own absence. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.clock import ahead
from shared.messages.alert_events import AlertEventType, PipelineCause

ABSENT_AFTER = timedelta(seconds=15)
"""When nobody has looked for so long, alerts was away; before that another replica goes on where one has ended."""

BEHIND_AFTER = timedelta(seconds=30)
"""What the broker accepted may take so long until it is stored; meanwhile judgement is only late."""

STEPPED_BY = timedelta(seconds=10)
"""A clock that is moved by more, or that differs from the database's by more, is not believed."""


@dataclass(frozen=True)
class Trouble:
    """Something for which judgement is held; `words` say it to an operator."""

    cause: PipelineCause
    words: str

    @property
    def is_news(self) -> bool:
        """Whether operators are told; not of the first start of all, which nobody takes for a failure."""
        return self.cause is not PipelineCause.STARTED


@dataclass(frozen=True)
class Degradation:
    """What operators were told: that nothing is judged `since` then, and because of which trouble."""

    since: datetime
    trouble: Trouble


@dataclass(frozen=True)
class Standing:
    """How judgement stands, as all replicas see it: the table `pipeline`."""

    judged_until: datetime | None = None
    healthy_since: datetime | None = None
    trouble: Trouble | None = None
    """What holds judgement, or held it until all was well and it began to settle."""
    degraded: Degradation | None = None

    @property
    def in_words(self) -> str | None:
        """Why nothing is judged; None where it is."""
        if self.trouble is None:
            return None
        words = f"{self.trouble.cause}: {self.trouble.words}"
        if self.healthy_since is not None:
            settles = f"until all has been well for the settle time, as it is since {_time(self.healthy_since)}"
            return f"{settles}; before: {words}"
        return words

    def unjudged(self, proven: datetime | None, now: datetime) -> timedelta | None:
        """How long the time is that is neither judged nor, as of now, `proven`; None where judgement is held."""
        if self.trouble is not None or self.judged_until is None:
            return None
        return now - max(self.judged_until, proven or self.judged_until)


@dataclass(frozen=True)
class Told:
    """An event for operators, of the beginning of a degradation or of its end."""

    kind: AlertEventType
    degradation: Degradation


@dataclass(frozen=True)
class Ruling:
    """How judgement stands from now on, and what operators are told of it."""

    standing: Standing
    told: Told | None = None


def hold(before: Standing, trouble: Trouble, now: datetime) -> Ruling:
    """Judge nothing any more. Told is the first trouble only: what follows until judgement goes on belongs to it."""
    held = replace(before, healthy_since=None, trouble=trouble)
    if before.degraded is not None or not trouble.is_news:
        return Ruling(held)
    degradation = Degradation(now, trouble)
    return Ruling(replace(held, degraded=degradation), Told(AlertEventType.PIPELINE_DEGRADED, degradation))


def go_on(before: Standing, proven: datetime | None, now: datetime, *, settle: timedelta) -> Ruling:
    """Nothing is wrong: judge up to what is `proven` to be stored, once this has been so for the settle time.

    Both by the database's clock, which is the same for all replicas.
    """
    since = before.healthy_since or now
    if proven is None or now - since < settle:
        return Ruling(replace(before, healthy_since=since))
    judging = Standing(judged_until=_later(before.judged_until, proven), healthy_since=since)
    told = Told(AlertEventType.PIPELINE_RECOVERED, before.degraded) if before.degraded is not None else None
    return Ruling(judging, told)


def _later(judged_until: datetime | None, proven: datetime) -> datetime:
    """A clock that is moved back a little leaves what was judged. By more than that, it had been ahead."""
    if judged_until is None or judged_until - proven > STEPPED_BY:
        return proven
    return max(judged_until, proven)


def is_kept(looked_at: datetime, now: datetime) -> bool:
    """Whether somebody has looked lately. A moment that lies ahead tells nothing: the clock was set back."""
    return abs(now - looked_at) <= ABSENT_AFTER


def absence(looked_at: datetime | None, now: datetime) -> Trouble | None:
    """What it means that somebody looked last at `looked_at`; both by the database's clock."""
    if looked_at is None:
        return Trouble(PipelineCause.STARTED, "alerts has started for the first time")
    if is_kept(looked_at, now):
        return None
    if looked_at > now:
        words = f"the database's clock was set back: by it alerts looked last at {_time(looked_at)}"
        return Trouble(PipelineCause.ABSENT, words)
    return Trouble(PipelineCause.ABSENT, f"alerts was away since {_time(looked_at)}")


def disagreement(asked_at: datetime, answered_at: datetime, database: datetime) -> Trouble | None:
    """What it means that the database said its time between these two moments of our clock."""
    difference = abs(ahead(database, asked_at, answered_at))
    if difference <= STEPPED_BY:
        return None
    seconds = difference.total_seconds()
    return Trouble(PipelineCause.CLOCK, f"our clock and the database's differ by {seconds:.0f} s")


class ClockWatch:
    """Compares the wall clock to one that no one can set, from look to look."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def stepped(self, wall: datetime, monotonic_s: float) -> Trouble | None:
        """Whether the wall clock was set since the last look, or the machine slept."""
        offset = wall.timestamp() - monotonic_s
        before, self._offset = self._offset, offset
        if before is None or abs(offset - before) <= STEPPED_BY.total_seconds():
            return None
        return Trouble(PipelineCause.CLOCK, f"the clock was moved by {offset - before:+.0f} s")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
