"""Mails over a real SMTP server: encrypted, logged in, refused at every step, hung on and dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from services.alerts.mail import sending
from services.alerts.mail.addresses import Sender
from services.alerts.mail.composing import compose, message_id
from services.alerts.mail.outcomes import MailRefused, Outcome, RecipientRefused, Sent, TryAgain
from services.alerts.mail.sending import Encryption, Login, MailSender, MailServer
from tests.services.alerts.mail.examples import MAIL, NOON, URL
from tests.support.mailbox import Command, Mailbox, Tls

SENDER = Sender("alerts@example.com", "Målere")
LOGIN = ("alerts@example.com", "hemmeligt: pæn/streng@1%")


def server_of(mailbox: Mailbox, *, timeout_s: float = 20) -> MailServer:
    """How the mailbox is reached."""
    parts = urlsplit(mailbox.url)
    encryption = Encryption.TLS if parts.scheme == "smtps" else Encryption.NONE
    login = None
    if parts.username is not None and parts.password is not None:
        login = Login(unquote(parts.username), unquote(parts.password))
    return MailServer("127.0.0.1", parts.port or 0, encryption, login, mailbox.ca_file, timeout_s)


@asynccontextmanager
async def mailbox_and_sender(*, timeout_s: float = 20) -> AsyncIterator[tuple[Mailbox, MailSender]]:
    async with Mailbox.open() as mailbox, MailSender(server_of(mailbox, timeout_s=timeout_s)) as sender:
        yield mailbox, sender


async def send(sender: MailSender, *, number: int = 1) -> Outcome:
    """Send the mail of that number."""
    delivery = UUID(int=number)
    message = compose(
        MAIL,
        sender=SENDER,
        recipient="somebody@example.com",
        message_id=message_id(delivery, SENDER),
        composed_at=NOON,
        unsubscribe_url=URL,
    )
    return await sender.send(message, sender=SENDER.address, recipient="somebody@example.com")


@pytest.mark.parametrize("login", [None, LOGIN], ids=["no login", "login"])
@pytest.mark.parametrize(
    ("tls", "encryption"),
    [("starttls", Encryption.STARTTLS), ("smtps", Encryption.TLS), (None, Encryption.NONE)],
)
async def test_a_mail_arrives_whole(tls: Tls | None, encryption: Encryption, login: tuple[str, str] | None) -> None:
    async with Mailbox.open(tls=tls, login=login) as mailbox:
        async with MailSender(replace(server_of(mailbox), encryption=encryption)) as sender:
            assert await send(sender) == Sent("2.0.0 queued as 4BX7")
        (mail,) = await mailbox.wait_for(1)
        assert ("AUTH" in mailbox.commands) == (login is not None)
    assert (mail.sender, mail.recipients) == ("alerts@example.com", ("somebody@example.com",))
    assert (mail.subject, mail.text, mail.html) == (MAIL.subject, MAIL.text, MAIL.html)
    assert (mail.message["Message-ID"], mail.unsubscribe_url) == (f"<{UUID(int=1)}@example.com>", URL)


@pytest.mark.parametrize(
    ("tls", "encryption"), [("starttls", Encryption.STARTTLS), ("smtps", Encryption.TLS)], ids=["starttls", "smtps"]
)
async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(tls: Tls, encryption: Encryption) -> None:
    async with Mailbox.open(tls=tls, login=LOGIN) as mailbox:
        server = replace(server_of(mailbox), encryption=encryption, ca_file=None)
        with capture_logs() as logs:
            async with MailSender(server) as sender:
                assert await send(sender) == TryAgain("The mail server cannot be used.")
        assert "CERTIFICATE_VERIFY_FAILED" in logs[0]["error"]
        assert "AUTH" not in mailbox.commands
    assert mailbox.received == []


async def test_without_starttls_neither_login_nor_mail_goes_out_in_the_clear() -> None:
    async with Mailbox.open(login=LOGIN) as mailbox:
        with capture_logs() as logs:
            async with MailSender(replace(server_of(mailbox), encryption=Encryption.STARTTLS)) as sender:
                assert await send(sender) == TryAgain("The mail server cannot be used.")
        assert "STARTTLS" in logs[0]["error"]
        assert set(mailbox.commands) == {"EHLO"}


async def test_a_wrong_login_is_the_operators_trouble_and_is_not_repeated() -> None:
    async with Mailbox.open(tls="smtps", login=LOGIN) as mailbox:
        server = replace(server_of(mailbox), login=Login("alerts@example.com", "the wrong one"))
        mailbox.answers["AUTH"] = "535 5.7.8 alerts@example.com may not log in with: the wrong one"
        async with MailSender(server) as sender:
            assert await send(sender) == TryAgain("The mail server refused the login: 535 5.7.8")
        del mailbox.answers["AUTH"]
        async with MailSender(server) as sender:
            assert await send(sender) == TryAgain("The mail server refused the login: 535 5.7.8")


async def test_a_password_that_the_server_repeats_is_not_quoted() -> None:
    async with Mailbox.open(tls="smtps", login=("alerts@example.com", "letmein")) as mailbox:
        mailbox.answers["MAIL"] = "451 4.3.0 your password letmein, AGFsZXJ0c0BleGFtcGxlLmNvbQBsZXRtZWlu, is weak"
        server = server_of(mailbox)
        assert "letmein" not in repr(server)
        async with MailSender(server) as sender:
            assert await send(sender) == TryAgain(
                "The mail server refused the sender: 451 4.3.0 your password ***, ***, is weak"
            )


@pytest.mark.parametrize(
    ("command", "answer", "kind"),
    [
        ("EHLO", "421 4.3.2 closing", TryAgain),
        ("MAIL", "451 4.3.0 later", TryAgain),
        ("MAIL", "550 5.7.60 you may not send as this", TryAgain),
        ("MAIL", "552 5.3.4 too large", MailRefused),
        ("RCPT", "450 4.7.1 greylisted", TryAgain),
        ("RCPT", "452 4.2.2 full", RecipientRefused),
        ("RCPT", "421 4.7.0 too many", TryAgain),
        ("RCPT", "550 5.1.1 no such mailbox", RecipientRefused),
        ("RCPT", "550-5.2.1 This mailbox\r\n550 5.2.1 is disabled", RecipientRefused),
        ("RCPT", "554 5.7.1 Relay access denied", TryAgain),
        ("RCPT", "nonsense", TryAgain),
        ("DATA", "452 4.3.1 full", TryAgain),
        ("DATA", "554 5.6.0 looks like nothing that we take", MailRefused),
        ("DATA", "550 5.7.26 no DMARC", TryAgain),
        ("DATA", "550 5.1.1 no such mailbox", RecipientRefused),
    ],
)
async def test_a_refusal_is_told_and_the_next_mail_goes_out(command: Command, answer: str, kind: type[Outcome]) -> None:
    async with mailbox_and_sender() as (mailbox, sender):
        mailbox.answers[command] = answer
        refused = await send(sender)
        assert isinstance(refused, kind)
        assert not isinstance(refused, Sent)
        assert "\n" not in refused.reason
        assert mailbox.received == []
        mailbox.answers.clear()
        assert isinstance(await send(sender), Sent)
        await mailbox.wait_for(1)


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_server_that_hangs_is_given_up_in_time_and_its_connection_too(command: Command) -> None:
    async with mailbox_and_sender(timeout_s=0.3) as (mailbox, sender):
        mailbox.hangs_at.add(command)
        outcome = await send(sender)
        assert isinstance(outcome, TryAgain)
        mailbox.hangs_at.clear()
        connections = mailbox.connections
        await send_until_sent(sender)
        assert mailbox.connections > connections


async def send_until_sent(sender: MailSender) -> None:
    """Send it at most a few times: a machine that is busy may need more than the short time given."""
    for _ in range(20):
        if isinstance(await send(sender), Sent):
            return
    pytest.fail("no mail goes out any more")


async def test_the_time_is_of_all_steps_together() -> None:
    """Each answer comes in time, and all of them together do not."""
    async with mailbox_and_sender(timeout_s=1) as (mailbox, sender):
        mailbox.pauses_s = 0.4
        assert await send(sender) == TryAgain("The mail server did not answer within 1 s.")


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_connection_that_is_dropped_is_tried_again_later(command: Command) -> None:
    async with mailbox_and_sender() as (mailbox, sender):
        mailbox.drops_at.add(command)
        assert isinstance(await send(sender), TryAgain)
        mailbox.drops_at.clear()
        assert isinstance(await send(sender), Sent)


async def test_no_server_at_all_is_tried_again() -> None:
    async with Mailbox.open() as mailbox:
        server = server_of(mailbox)
    with capture_logs() as logs:
        async with MailSender(server) as sender:
            # Where the operator's server is no tenant needs to know.
            assert await send(sender) == TryAgain("The mail server cannot be used.")
    assert f"Error connecting to 127.0.0.1 on port {server.port}" in logs[0]["error"]


async def test_one_connection_takes_several_mails_but_not_endlessly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MAILS_A_CONNECTION", 3)
    async with mailbox_and_sender() as (mailbox, sender):
        for number in range(7):
            assert isinstance(await send(sender, number=number), Sent)
        assert (len(mailbox.received), mailbox.connections) == (7, 3)


async def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailbox_and_sender() as (mailbox, sender):
        await send(sender)
        await send(sender)
        assert mailbox.connections == 1
        monkeypatch.setattr(sending, "IDLE_AT_MOST_S", 0)
        await send(sender)
        assert mailbox.connections == 2


async def test_a_connection_that_the_server_ended_meanwhile_costs_no_attempt() -> None:
    async with mailbox_and_sender() as (mailbox, sender):
        assert isinstance(await send(sender), Sent)
        mailbox.drop_connections()
        assert isinstance(await send(sender), Sent)
        # Of the end of this one the client hears only when it asks.
        mailbox.drops_at.add("RSET")
        assert isinstance(await send(sender), Sent)
        assert (len(mailbox.received), mailbox.connections) == (3, 3)


async def test_many_at_once_share_few_connections() -> None:
    async with mailbox_and_sender() as (mailbox, sender):
        outcomes = await asyncio.gather(*(send(sender, number=number) for number in range(25)))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert len({mail.message["Message-ID"] for mail in mailbox.received}) == 25
        assert 1 < mailbox.connections <= sending.CONNECTIONS


async def test_the_wait_for_a_connection_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other they would take six times as long."""
    monkeypatch.setattr(sending, "CONNECTIONS", 1)
    async with mailbox_and_sender(timeout_s=0.5) as (mailbox, sender):
        mailbox.hangs_at.add("DATA")
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(send(sender, number=number) for number in range(6)))
        assert asyncio.get_running_loop().time() - began < 2
        assert all(isinstance(outcome, TryAgain) for outcome in outcomes)
        mailbox.hangs_at.clear()
        await send_until_sent(sender)


async def test_a_mail_that_is_cancelled_leaves_no_connection_that_is_out_of_step() -> None:
    async with mailbox_and_sender() as (mailbox, sender):
        mailbox.hangs_at.add("RCPT")
        task = asyncio.create_task(send(sender))
        await mailbox.wait_for_command("RCPT")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        mailbox.hangs_at.clear()
        assert isinstance(await send(sender), Sent)
        assert (len(mailbox.received), mailbox.connections) == (1, 2)


async def test_a_file_that_holds_no_certificates_is_told_at_once(tmp_path: Path) -> None:
    server = MailServer("127.0.0.1", 1, Encryption.TLS, ca_file=tmp_path / "missing.pem")
    with pytest.raises(OSError, match="No such file"):
        async with MailSender(server):
            pytest.fail("it must not begin")
