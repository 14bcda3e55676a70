"""When an alert that did not arrive is sent again, and when sending is given up; for webhooks and mail. Pure.

After Standard Webhooks 1.0.0, "Deliverability and reliability" (a schedule over multiple days, exponential backoff,
jitter; "Delivery success and failure" has 410 and `Retry-After`), and Svix, which disables an endpoint that has failed
for five days: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
https://docs.svix.com/retries. RFC 5321, 4.5.4.1, asks of mail that it is tried for at least 4-5 days.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

DELAYS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=6),
    timedelta(hours=8),
    timedelta(hours=12),
)
"""From each attempt to the next, at most; the last one again and again. Shorter at first than the standard's example:
an alert is about something that happens now."""

GIVEN_UP_AFTER = timedelta(days=5)
"""Since the event was first on its way."""

DISABLED_AFTER = timedelta(days=5)
"""Of failures, without any success."""

RETRY_AFTER_AT_MOST = timedelta(hours=6)
"""A receiver may ask for more; an alert that is later than that is of little use."""


@dataclass(frozen=True)
class Delivered:
    """The receiver took it. `status` is its code, if any."""

    status: int | None = None


@dataclass(frozen=True)
class Failed:
    """It did not arrive this time. `reason` is a sentence for its tenant; `status` is the receiver's code, if any."""

    reason: str
    status: int | None = None
    retry_after: timedelta | None = None
    """The receiver asked to be left alone for so long."""


@dataclass(frozen=True)
class Refused:
    """The receiver is gone, and wants nothing more: a 410, a mailbox that is no more."""

    reason: str
    status: int | None = None


Outcome = Delivered | Failed | Refused


def next_attempt(
    attempts: int, now: datetime, retry_after: timedelta | None, random: float, *, made_at: datetime
) -> datetime | None:
    """When to try again after `attempts`, of which the last has just failed; None when it is given up.

    That is when it would be later than five days after the event was made. `random`, from 0 up to 1, spreads attempts
    over the second half of each delay ("equal jitter":
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). `retry_after` is a lower bound, up to six
    hours. `ValueError` where nothing was attempted yet.
    """
    if attempts < 1:
        raise ValueError("what was not attempted has not failed")
    delay = DELAYS[min(attempts, len(DELAYS)) - 1] * (0.5 + random / 2)
    if retry_after is not None:
        delay = max(delay, min(retry_after, RETRY_AFTER_AT_MOST))
    return now + delay if now + delay <= made_at + GIVEN_UP_AFTER else None


def to_be_disabled(failing_since: datetime | None, now: datetime, last_outcome: Outcome) -> bool:
    """Whether nothing more is to be sent to a receiver that has had no success since `failing_since`."""
    match last_outcome:
        case Delivered():
            return False
        case Refused():
            return True
        case Failed():
            return failing_since is not None and now - failing_since >= DISABLED_AFTER
