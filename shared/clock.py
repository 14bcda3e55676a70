"""Where `now` comes from: a clock is passed in, so that a test can bring its own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]

Monotonic = Callable[[], float]
"""Seconds from some moment on, which no change of the machine's time moves."""


def utc_now() -> datetime:
    """The time of this machine, with its zone (UTC)."""
    return datetime.now(UTC)
