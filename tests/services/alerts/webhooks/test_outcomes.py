"""What an endpoint's answer means."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.rules.retries import RETRY_AFTER_AT_MOST, Delivered, Failed, Refused
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.outcomes import Answer, outcome_of, outcome_of_failure, parse_retry_after

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    assert outcome_of(Answer(status, "60"), NOW) == Delivered(status)


def test_410_wants_no_more() -> None:
    assert outcome_of(Answer(410), NOW) == Refused("The endpoint answered 410 Gone: it wants no more webhooks.", 410)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_a_redirect_is_a_failure_and_said_to_be_one(status: int) -> None:
    outcome = outcome_of(Answer(status, "60"), NOW)
    assert isinstance(outcome, Failed)
    assert (outcome.status, outcome.retry_after) == (status, None)
    assert "redirects are not followed" in outcome.reason


@pytest.mark.parametrize("status", [101, 199, 400, 401, 403, 404, 409, 422, 500, 502, 504, 599, 999])
def test_everything_else_is_a_failure(status: int) -> None:
    outcome = outcome_of(Answer(status, "60"), NOW)
    assert isinstance(outcome, Failed)
    assert (outcome.status, outcome.retry_after) == (status, None)
    assert str(status) in outcome.reason


@pytest.mark.parametrize("status", [429, 503])
def test_a_wish_for_patience_is_passed_on(status: int) -> None:
    outcome = outcome_of(Answer(status, "60"), NOW)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after == MINUTE
    assert outcome_of(Answer(status), NOW) == Failed(outcome.reason, status)


def test_what_was_not_answered_has_failed_for_the_reason_given() -> None:
    assert outcome_of_failure(WebhookFailure(FailureKind.TLS, "The certificate.")) == Failed("The certificate.")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", timedelta(0)),
        ("60", MINUTE),
        (" 60 ", MINUTE),
        ("0000000000000060", MINUTE),
        ("99999999", RETRY_AFTER_AT_MOST),
        ("9" * 5000, RETRY_AFTER_AT_MOST),
        ("Fri, 06 Nov 2026 08:50:37 GMT", MINUTE),
        ("Friday, 06-Nov-26 08:50:37 GMT", MINUTE),
        ("Fri Nov  6 08:50:37 2026", MINUTE),
        ("Fri, 06 Nov 2026 09:50:37 +0100", MINUTE),
        ("Fri, 06 Nov 2020 08:50:37 GMT", timedelta(0)),
        ("Fri, 06 Nov 2099 08:50:37 GMT", RETRY_AFTER_AT_MOST),
        ("Fri, 31 Dec 9999 23:59:59 -2359", RETRY_AFTER_AT_MOST),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\uff16\uff10", None),
        ("soon", None),
        ("Fri, 32 Nov 2026 08:50:37 GMT", None),
        ("Fri, 06 Nov 99999 08:50:37 GMT", None),
        ("Fri, 06 Nov 2026", None),
    ],
)
def test_a_wish_is_in_seconds_or_a_date_and_bounded(text: str, wanted: timedelta | None) -> None:
    assert parse_retry_after(text, NOW) == wanted


@given(st.text() | st.text("0123456789 :,+-FriNovGMT", max_size=40))
def test_any_text_is_a_bounded_wish_or_none(text: str) -> None:
    wanted = parse_retry_after(text, NOW)
    assert wanted is None or timedelta(0) <= wanted <= RETRY_AFTER_AT_MOST
