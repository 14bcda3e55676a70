"""Messages as programs on their way, and readers, take them."""

import re
from dataclasses import replace
from datetime import timedelta, timezone
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.alerts.mail.addresses import LONGEST_NAME, Sender
from services.alerts.mail.composing import Mail, compose, message_id
from services.alerts.mail.phrasing import clip
from services.alerts.mail.subjects import SUBJECT_AT_MOST
from tests.services.alerts.mail.examples import MAIL, NOON, URL

SENDER = Sender("alerts@example.com", "Målere på Havnegade")
DELIVERY = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")
LONG = f"{'a' * 64}@{'.'.join(['d' * 60] * 3)}.dk"


def composed(
    mail: Mail = MAIL,
    *,
    sender: Sender = SENDER,
    recipient: str = "anna@example.com",
    unsubscribe_url: str | None = URL,
) -> bytes:
    """The message as it goes over the wire."""
    return compose(
        mail,
        sender=sender,
        recipient=recipient,
        message_id=message_id(DELIVERY, sender),
        composed_at=NOON.astimezone(timezone(timedelta(hours=1))),
        unsubscribe_url=unsubscribe_url,
    ).as_bytes()


def parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, index: int) -> tuple[str, str]:
    """The type of one of the parts, and what it says."""
    part = list(message.iter_parts())[index]
    assert isinstance(part, EmailMessage)
    assert part.get_content_charset() == "utf-8"
    return part.get_content_type(), str(part.get_content()).replace("\r\n", "\n")


def test_a_message_says_all_that_programs_go_by() -> None:
    message = parsed(composed())
    assert message["From"] == "Målere på Havnegade <alerts@example.com>"
    assert message["To"] == "anna@example.com"
    assert message["Subject"] == MAIL.subject
    assert message["Date"] == "Sun, 22 Nov 2026 13:00:00 +0100"
    assert message["Message-ID"] == f"<{DELIVERY}@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "da"
    assert message["List-Unsubscribe"] == f"<{URL}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Precedence"] is None
    assert message.get_content_type() == "multipart/alternative"
    # The last one is what a reader prefers.
    assert [body(message, 0), body(message, 1)] == [("text/plain", MAIL.text), ("text/html", MAIL.html)]


def test_without_a_subscription_there_is_nothing_to_unsubscribe_from() -> None:
    message = parsed(composed(unsubscribe_url=None))
    assert message["List-Unsubscribe"] is None
    assert message["List-Unsubscribe-Post"] is None


def test_another_attempt_is_the_same_message_but_for_the_boundary() -> None:
    first, second = (re.sub(rb"={3,}\d+={2}", b"boundary", composed()) for _ in range(2))
    assert first == second


def test_no_server_needs_to_convert_it() -> None:
    long = "Målere " * 1000 + "\n.\n.En linje for sig\n\nFrom Havnegade\n"
    raw = composed(replace(MAIL, text=long, html=f"<p>{long}</p>\n"))
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert [body(parsed(raw), 0)[1], body(parsed(raw), 1)[1]] == [long, f"<p>{long}</p>\n"]


@pytest.mark.parametrize("url_length", [60, 78, 90, 200, 600])
def test_what_is_one_word_stays_whole(url_length: int) -> None:
    """The library would write an address or a link that is longer than a line as encoded words."""
    url = URL + "x" * (url_length - len(URL))
    sender = Sender(LONG)
    raw = composed(sender=sender, recipient=LONG, unsubscribe_url=url)
    assert f"\r\nTo: {LONG}\r\n".encode() in raw
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw
    assert f"\r\nMessage-ID: <{DELIVERY}@{sender.domain}>\r\n".encode() in raw
    assert parsed(raw)["From"].addresses[0].addr_spec == LONG


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_no_header_has_a_second_line(line_end: str) -> None:
    hostile = f"Havnegade{line_end}Bcc: bo@example.com"
    with pytest.raises(ValueError, match=r"linefeed|line"):
        composed(replace(MAIL, subject=hostile))
    with pytest.raises(ValueError, match=r"linefeed|line|invalid"):
        composed(unsubscribe_url=f"https://example.com/{line_end}Bcc: bo@example.com")


def test_a_subject_that_is_encoded_already_hides_no_second_line() -> None:
    raw = composed(replace(MAIL, subject="=?utf-8?q?Havnegade=0D=0ABcc:_bo@example.com?="))
    assert b"bo@example.com" not in raw
    assert set(parsed(raw).keys()) == set(parsed(composed()).keys())


# Such as have broken encoded words: signs that mean something in a header, and blanks beside wide letters.
NAMES = st.one_of(st.text(max_size=150), st.text("ab \"'(),.:;<>@[]\\=?_-æøé漢😀", max_size=150))


def decoded(raw: bytes, name: str) -> str:
    """A header by the older of the two decoders of the library: the newer one adds a blank between some words."""
    return str(make_header(decode_header(message_from_bytes(raw)[name].replace("\r\n", ""))))


@given(NAMES.map(lambda text: clip(text, SUBJECT_AT_MOST)))
@example("En meget lang linje uden andet end ASCII som dog er laengere end en linje kan vaere")
@example("æ" * SUBJECT_AT_MOST)
@settings(deadline=None)
def test_whatever_a_subject_says_is_read_as_it_was_written(subject: str) -> None:
    raw = composed(replace(MAIL, subject=subject))
    assert decoded(raw, "Subject") == subject
    assert set(parsed(raw).keys()) == set(parsed(composed()).keys())
    assert max(map(len, raw.split(b"\r\n"))) <= 78


@given(NAMES.map(lambda text: clip(text, LONGEST_NAME)))
@settings(deadline=None)
def test_whatever_a_sender_is_called_it_is_the_same_address(name: str) -> None:
    raw = composed(sender=Sender("alerts@example.com", name))
    assert decoded(raw, "From") == (f"{name} <alerts@example.com>" if name else "alerts@example.com")
    (sender,) = parsed(raw)["From"].addresses
    assert sender.addr_spec == "alerts@example.com"
    assert max(map(len, raw.split(b"\r\n"))) <= 78
