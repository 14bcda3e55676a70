"""Where `now` comes from: a clock is passed in, so that a test can bring its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

Monotonic = Callable[[], float]
"""Seconds from some moment on, which no change of the machine's time moves."""


def utc_now() -> datetime:
    """The time of this machine, with its zone (UTC)."""
    return datetime.now(UTC)


def ahead(said: datetime, asked_at: datetime, answered_at: datetime) -> timedelta:
    """By how much a clock is surely ahead of ours that `said` its time between these two moments of ours.

    Negative where it is behind; 0 where what it said may be right.
    """
    return max(said - answered_at, timedelta(0)) + min(said - asked_at, timedelta(0))
