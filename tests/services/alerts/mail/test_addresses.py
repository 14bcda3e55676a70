"""Which addresses mail can be sent to, and how they are written; and whom it is from."""

import pytest

from services.alerts.mail.addresses import Sender, UnusableMailAddress, parse_mail_address, parse_sender

LONG_DOMAIN = ".".join(["d" * 60] * 3)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("anna@example.com", "anna@example.com"),
        ("Anna.Berg+maalere@Example.COM", "Anna.Berg+maalere@example.com"),
        ("drift@bødkergården.dk", "drift@xn--bdkergrden-65a6t.dk"),
        ("o'hara@example.com", "o'hara@example.com"),
        (f"{'a' * 64}@{LONG_DOMAIN}.dk", f"{'a' * 64}@{LONG_DOMAIN}.dk"),
    ],
)
def test_an_address_is_written_as_it_goes_over_the_wire(text: str, address: str) -> None:
    assert parse_mail_address(text) == address
    assert parse_mail_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "@example.com",
        "anna@",
        "anna@localhost",
        "anna@example.invalid",
        "anna@127.0.0.1",
        "anna@[127.0.0.1]",
        "Anna <anna@example.com>",
        "anna@example.com, bo@example.com",
        '"anna berg"@example.com',
        "anna berg@example.com",
        " anna@example.com",
        "anna@example.com\r\nBcc: bo@example.com",
        "anna\u202e@example.com",
        "anna..berg@example.com",
        "anna@exa mple.com",
        "jørgen@example.com",
        f"{'a' * 65}@example.com",
        f"anna@{'d' * 64}.dk",
        f"{'a' * 64}@{LONG_DOMAIN}.{'d' * 10}.dk",
    ],
)
def test_what_no_mail_can_be_sent_to_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(UnusableMailAddress) as refusal:
        parse_mail_address(text)
    assert str(refusal.value)
    assert not text or "anna@" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("alerts@example.com", Sender("alerts@example.com")),
        ("Målere <alerts@bødkergården.dk>", Sender("alerts@xn--bdkergrden-65a6t.dk", "Målere")),
        ('"Alarmer, målere" <alerts@example.com>', Sender("alerts@example.com", "Alarmer, målere")),
        ("<mbus@relay>", Sender("mbus@relay")),
    ],
)
def test_a_sender_may_have_a_name_and_a_host_of_the_operators_own(text: str, sender: Sender) -> None:
    assert parse_sender(text) == sender


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alerts",
        "jørgen@example.com",
        f"{'M' * 101} <a@example.com>",
        "A\nB <a@b.dk>",
        'A "B <a@b.dk>',
        "<a@b.dk> <c@b.dk>",
    ],
)
def test_what_is_no_sender_is_refused(text: str) -> None:
    with pytest.raises(UnusableMailAddress):
        parse_sender(text)
