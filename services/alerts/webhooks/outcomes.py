"""What an endpoint's answer means for the webhook that it answers. Pure.

By Standard Webhooks 1.0.0, "Delivery success and failure".
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from services.alerts.rules.retries import RETRY_AFTER_AT_MOST, Delivered, Failed, Outcome, Refused
from services.alerts.webhooks.failures import WebhookFailure

NONE = timedelta(0)
SECONDS_MAX_DIGITS = 9

ASKS_FOR_PATIENCE = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Answer:
    """The status of an endpoint's answer, and its `Retry-After` as it was sent. The body is not kept."""

    status: int
    retry_after: str | None = None


def outcome_of(answer: Answer, now: datetime) -> Outcome:
    """What came of a webhook that was answered; `now` is what a `Retry-After` that is a date counts from."""
    status = answer.status
    if HTTPStatus(200) <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered(status)
    if status == HTTPStatus.GONE:
        return Refused(f"The endpoint answered {_called(status)}: it wants no more webhooks.", status)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Failed(f"The endpoint answered {_called(status)}; redirects are not followed.", status)
    retry_after = None
    if status in ASKS_FOR_PATIENCE and answer.retry_after is not None:
        retry_after = parse_retry_after(answer.retry_after, now)
    return Failed(f"The endpoint answered {_called(status)}.", status, retry_after)


def outcome_of_failure(failure: WebhookFailure) -> Failed:
    """What came of a webhook that was not answered."""
    return Failed(str(failure))


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """How long a `Retry-After` asks for, in seconds or until an HTTP date (RFC 9110, 10.2.3); None if it says nothing.

    From none, for what is past, to the longest that is heeded (`RETRY_AFTER_AT_MOST`).
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        if len(digits) > SECONDS_MAX_DIGITS:
            return RETRY_AFTER_AT_MOST
        return min(timedelta(seconds=int(digits)), RETRY_AFTER_AT_MOST)
    try:
        until = parsedate_to_datetime(text)
        # The asctime form has no zone, and means UTC as the others do.
        wanted = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, IndexError, OverflowError):  # what the parser raises, for one text or another
        return None
    return min(max(wanted, NONE), RETRY_AFTER_AT_MOST)


def _called(status: int) -> str:
    """The code with its name, where it has one; never the phrase that was sent."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
