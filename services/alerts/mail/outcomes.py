"""What has become of a mail, by what the server answered and when: whose fault a refusal is. Pure.

Three can be at fault: the mailbox, which then takes no mail of ours any more; this one mail; and the operator's account
or relay, which no subscriber is to lose a subscription for.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

LONGEST_REASON = 300
"""In characters, of what a server says."""


@dataclass(frozen=True)
class Sent:
    """The server has taken the mail; `reply` is what it said, such as the name under which it logs it."""

    reply: str


@dataclass(frozen=True)
class RecipientRefused:
    """There is no such mailbox, or it takes no mail, perhaps only for now: another mail to it is refused too."""

    reason: str


@dataclass(frozen=True)
class MailRefused:
    """This mail is refused for good, for what it is; another one may be taken."""

    reason: str


@dataclass(frozen=True)
class TryAgain:
    """It was not sent, for now or for a reason that the operator can mend."""

    reason: str


Outcome = Sent | RecipientRefused | MailRefused | TryAgain


class Stage(StrEnum):
    """What the server answered to."""

    CONNECT = "the connection"
    LOGIN = "the login"
    MAIL = "the sender"
    RCPT = "the recipient"
    DATA = "the mail"


PERMANENT = range(500, 600)
OF_THE_LOGIN = frozenset({530, 534, 535, 538})
"""A login is needed, or not good enough (RFC 4954)."""

NO_MAILBOX = frozenset({550, 551, 553, 556})
"""Without an enhanced code, in answer to RCPT (RFC 5321, 4.2.3; 556 by RFC 7504): not found, moved, misnamed, and a
domain that takes no mail."""

FULL_FOR_NOW = frozenset({450, 452})
"""Without an enhanced code, in answer to RCPT (RFC 5321, 4.2.3): the mailbox is busy, or there is no room."""

ENHANCED_FOR_NOW = re.compile(r"4\.(\d{1,3})\.(\d{1,3})(?!\S)")

ENHANCED = re.compile(r"5\.(\d{1,3})\.(\d{1,3})(?!\S)")
"""An enhanced status code (RFC 3463), with which a reply begins."""

OF_THE_SENDER = frozenset({(1, 7), (1, 8)})
"""Addresses, but of the sender (RFC 3463, 3.2)."""

TOO_LARGE = frozenset({(2, 3), (3, 4)})
"""For the mailbox, and for the server (RFC 3463, 3.3 and 3.4)."""

UNKNOWN_THERE = frozenset({(4, 1), (4, 4)})
"""Microsoft 365 says 5.4.1 of a recipient that it does not know; 5.4.4 is a domain without a server (RFC 3463, 3.5)."""

NOT_AUTHENTIC = frozenset({8, 9, 11, 13, 14, *range(20, 28)})
"""Of 5.7: the account, the encryption, DKIM, SPF, the reverse name (RFC 4954, RFC 7372), and DMARC, as 5.7.26."""


def outcome_of(stage: Stage, code: int, text: str) -> Outcome:
    """What a refusal means: the reply's `code`, and its `text`, which may begin with an enhanced status code.

    4xx, and what is no refusal at all, is tried again, and is the mailbox's fault where RCPT is refused for what it is;
    5xx is by whose fault it is.
    """
    reason = f"The mail server refused {stage}: {printable(f'{code} {text}')}"
    if stage is Stage.LOGIN:
        # Servers have been seen to repeat what they were given, so that only the codes are told.
        found = ENHANCED.match(text)
        return TryAgain(f"The mail server refused the login: {code} {found[0] if found else ''}".rstrip())
    if stage is Stage.RCPT and _is_full_for_now(code, text):
        return RecipientRefused(reason)
    if stage is Stage.CONNECT or code not in PERMANENT or code in OF_THE_LOGIN:
        return TryAgain(reason)
    found = ENHANCED.match(text)
    enhanced = (int(found[1]), int(found[2])) if found else None
    match stage:
        case Stage.MAIL:
            # Before the recipient is named it can only be the sender, which is the operator's, or the announced size.
            return MailRefused(reason) if enhanced in TOO_LARGE or code == 552 else TryAgain(reason)  # noqa: PLR2004
        case Stage.RCPT:
            return _to_the_recipient(code, enhanced, reason)
        case Stage.DATA:
            return _to_the_mail(enhanced, reason)


def _is_full_for_now(code: int, text: str) -> bool:
    """Whether a 4xx in answer to RCPT is of the mailbox: what else is put off, such as by greylisting, is 4.7.1."""
    if code not in range(400, 500):
        return False
    found = ENHANCED_FOR_NOW.match(text)
    if found is None:
        return code in FULL_FOR_NOW
    return _is_of_the_mailbox((int(found[1]), int(found[2])))


def _to_the_recipient(code: int, enhanced: tuple[int, int] | None, reason: str) -> Outcome:
    if enhanced is None:
        if code == 552:  # noqa: PLR2004
            # Too many recipients, and to be taken as a 452 (RFC 5321, 4.5.3.1.10); or a full mailbox.
            return TryAgain(reason)
        return RecipientRefused(reason) if code in NO_MAILBOX else MailRefused(reason)
    if _is_of_the_mailbox(enhanced) or enhanced in UNKNOWN_THERE:
        return RecipientRefused(reason)
    # By policy, before it has seen the mail: it does not relay for us, or has us on a list.
    return TryAgain(reason) if enhanced in OF_THE_SENDER or enhanced[0] == 7 else MailRefused(reason)  # noqa: PLR2004


def _to_the_mail(enhanced: tuple[int, int] | None, reason: str) -> Outcome:
    if enhanced is None:
        return MailRefused(reason)
    if _is_of_the_mailbox(enhanced):
        return RecipientRefused(reason)
    subject, detail = enhanced
    ours = enhanced in OF_THE_SENDER or (subject == 7 and detail in NOT_AUTHENTIC)  # noqa: PLR2004
    return TryAgain(reason) if ours else MailRefused(reason)


def _is_of_the_mailbox(enhanced: tuple[int, int]) -> bool:
    """X.1 is of addresses, X.2 of mailboxes."""
    return enhanced[0] in {1, 2} and enhanced not in OF_THE_SENDER and enhanced not in TOO_LARGE


def printable(text: str) -> str:
    """What a server said, in one line that can be logged and shown; bytes that are no UTF-8 become question marks."""
    words = "".join("?" if unicodedata.category(one) in {"Cs", "Co", "Cf"} else one for one in text).split()
    line = "".join(one if one.isprintable() else "?" for one in " ".join(words))
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"
