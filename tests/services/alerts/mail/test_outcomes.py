"""Whose fault a refusal is: the mailbox's, the mail's, or the operator's."""

import pytest

from services.alerts.mail.outcomes import (
    LONGEST_REASON,
    MailRefused,
    Outcome,
    RecipientRefused,
    Stage,
    TryAgain,
    outcome_of,
    printable,
)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("code", [-1, 220, 250, 354, 421, 450, 451, 452, 454, 499])
def test_what_is_for_now_or_no_refusal_at_all_is_tried_again(stage: Stage, code: int) -> None:
    assert isinstance(outcome_of(stage, code, "4.3.0 not now"), TryAgain)


@pytest.mark.parametrize(
    ("stage", "code", "text", "kind"),
    [
        *((Stage.RCPT, code, "no", RecipientRefused) for code in (450, 452)),
        *(
            (Stage.RCPT, code, f"{enhanced} no", RecipientRefused)
            for code in (450, 451, 452)
            for enhanced in ("4.1.1", "4.2.0", "4.2.1", "4.2.2")
        ),
        *((Stage.RCPT, code, "no", TryAgain) for code in (421, 451, 454)),
        # Greylisting, a server that is full, and a sender whose name is not found now.
        *((Stage.RCPT, 450, f"{enhanced} no", TryAgain) for enhanced in ("4.7.1", "4.3.1", "4.1.8")),
        (Stage.MAIL, 452, "4.2.2 no", TryAgain),
        (Stage.DATA, 452, "no", TryAgain),
        (Stage.DATA, 450, "4.2.2 no", TryAgain),
    ],
)
def test_a_mailbox_that_takes_nothing_for_now_is_at_fault(
    stage: Stage, code: int, text: str, kind: type[Outcome]
) -> None:
    assert isinstance(outcome_of(stage, code, text), kind)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("code", [530, 534, 535, 538])
def test_a_login_that_is_missing_or_not_good_enough_is_the_operators_trouble(stage: Stage, code: int) -> None:
    assert isinstance(outcome_of(stage, code, "5.7.8 who are you"), TryAgain)


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.LOGIN])
@pytest.mark.parametrize("code", [500, 521, 550, 554])
def test_before_a_mail_has_begun_nothing_is_the_subscribers_fault(stage: Stage, code: int) -> None:
    assert isinstance(outcome_of(stage, code, "5.1.1 no"), TryAgain)


@pytest.mark.parametrize(
    ("stage", "code", "text", "kind"),
    [
        (Stage.MAIL, 550, "5.1.8 no such domain", TryAgain),
        (Stage.MAIL, 553, "5.7.1 not your address", TryAgain),
        (Stage.MAIL, 552, "message size exceeds fixed maximum message size", MailRefused),
        (Stage.MAIL, 550, "5.2.3 too long", MailRefused),
        *(
            (Stage.RCPT, 550, f"5.{code} no", RecipientRefused)
            for code in ("1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "2.0", "2.1", "2.2", "4.1", "4.4")
        ),
        (Stage.RCPT, 550, "no such user", RecipientRefused),
        (Stage.RCPT, 551, "moved", RecipientRefused),
        (Stage.RCPT, 553, "no such name", RecipientRefused),
        (Stage.RCPT, 556, "takes no mail", RecipientRefused),
        (Stage.RCPT, 552, "full", TryAgain),
        (Stage.RCPT, 552, "5.2.2 full", RecipientRefused),
        (Stage.RCPT, 552, "5.2.3 too long for it", MailRefused),
        (Stage.RCPT, 550, "5.1.7 your address is malformed", TryAgain),
        (Stage.RCPT, 550, "5.1.8 your domain has no server", TryAgain),
        (Stage.RCPT, 554, "5.7.1 Relay access denied", TryAgain),
        (Stage.RCPT, 554, "no", MailRefused),
        (Stage.RCPT, 501, "5.5.4 no", MailRefused),
        (Stage.RCPT, 550, "5.1.11111 no code", RecipientRefused),
        (Stage.DATA, 554, "no", MailRefused),
        (Stage.DATA, 550, "no", MailRefused),
        (Stage.DATA, 554, "5.7.1 spam", MailRefused),
        (Stage.DATA, 552, "5.3.4 too large", MailRefused),
        (Stage.DATA, 550, "5.2.3 too large", MailRefused),
        (Stage.DATA, 550, "5.1.1 no such mailbox", RecipientRefused),
        (Stage.DATA, 550, "5.2.1 disabled", RecipientRefused),
        (Stage.DATA, 550, "5.1.8 your domain", TryAgain),
        *((Stage.DATA, 550, f"5.7.{code} not authentic", TryAgain) for code in (20, 23, 25, 26, 27)),
        (Stage.DATA, 550, "5.7.28 too much", MailRefused),
    ],
)
def test_a_refusal_for_good_is_by_whose_fault_it_is(stage: Stage, code: int, text: str, kind: type[Outcome]) -> None:
    outcome = outcome_of(stage, code, text)
    assert isinstance(outcome, kind)
    assert not hasattr(outcome, "reply")
    assert str(outcome) == f"{kind.__name__}(reason='The mail server refused {stage}: {code} {text}')"


def test_of_a_login_only_the_codes_are_told() -> None:
    refused = outcome_of(Stage.LOGIN, 535, "5.7.8 wrong password: letmein")
    assert refused == TryAgain("The mail server refused the login: 535 5.7.8")
    assert outcome_of(Stage.LOGIN, 535, "letmein") == TryAgain("The mail server refused the login: 535")


def test_what_a_server_says_is_one_bounded_line() -> None:
    assert printable("No\r\nsuch\n\tmailbox\x00 \x1b[31m") == "No such mailbox? ?[31m"
    # Bytes that were no UTF-8, and a text that would turn what follows it.
    assert printable("n\udce6 \u202edne") == "n? ?dne"
    assert len(printable("no " * 1000)) == LONGEST_REASON
