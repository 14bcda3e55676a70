"""A mail server of a test's own, on loopback: it keeps what it receives, and refuses, hangs or drops when told to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from typing_extensions import override

HOST = "127.0.0.1"

A = TypeVar("A")

Tls = Literal["starttls", "smtps"]
Command = Literal["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "RSET"]


@dataclass(frozen=True)
class ReceivedMail:
    """A mail that the server took; `raw` is as it came over the wire."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """The plain text, with plain line ends."""
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    @property
    def unsubscribe_url(self) -> str:
        """Where the link of the headers leads."""
        return str(self.message["List-Unsubscribe"]).removeprefix("<").removesuffix(">")

    def _body(self, kind: Literal["plain", "html"]) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


@dataclass
class Mailbox:
    """What the server has received, and how it answers.

    `answers` are replies that it gives to a command in the place of its own; at a command of `hangs_at` it says nothing
    for as long as it lasts, at one of `drops_at` it ends the connection.
    """

    url: str = ""
    ca_file: Path | None = None
    received: list[ReceivedMail] = field(default_factory=list)
    answers: dict[Command, str] = field(default_factory=dict)
    hangs_at: set[Command] = field(default_factory=set)
    drops_at: set[Command] = field(default_factory=set)
    pauses_s: float = 0
    """Before each answer."""
    connections: int = 0
    """How many there have been."""
    commands: list[Command] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _open: set["_Server"] = field(default_factory=set)
    _login: tuple[str, str] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, *, tls: Tls | None = None, login: tuple[str, str] | None = None) -> AsyncIterator["Mailbox"]:
        """A server for as long as the block lasts; `url` has the login, `ca_file` is what its clients must trust."""
        mailbox = cls(_login=login)
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(context)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Server(mailbox, context if tls == "starttls" else None, login_needed=login is not None),
            HOST,
            0,
            ssl=context if tls == "smtps" else None,
        )
        port = server.sockets[0].getsockname()[1]
        user = "" if login is None else f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@"
        mailbox.url = f"{'smtps' if tls == 'smtps' else 'smtp'}://{user}{HOST}:{port}"
        with authority.cert_pem.tempfile() as file:
            mailbox.ca_file = Path(file)
            try:
                yield mailbox
            finally:
                server.close()
                mailbox.drop_connections()

    async def wait_for(self, count: int, *, timeout_s: float = 20) -> list[ReceivedMail]:
        """What has been received, as soon as it is so many; `TimeoutError` when they do not come in time."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def wait_for_command(self, command: Command, *, timeout_s: float = 20) -> None:
        """Return as soon as a client has given that command, or if one has."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: command in self.commands)

    def drop_connections(self) -> None:
        """End the connections that are open; new ones work."""
        for server in list(self._open):
            server.abort()

    async def answer(self, server: "_Server", command: Command) -> str | None:
        """What to say to a command, in the place of what the server would say."""
        async with self._changed:
            self.commands.append(command)
            self._changed.notify_all()
        await asyncio.sleep(self.pauses_s)
        if command in self.hangs_at:
            await server.gone
        if command in self.drops_at:
            server.abort()
            await server.gone
        return self.answers.get(command)

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, given: Any) -> AuthResult:
        """Whether a login is the one that is wanted."""
        right = (
            self._login is not None
            and isinstance(given, LoginPassword)
            and (given.login, given.password) == tuple(word.encode() for word in self._login)
        )
        return AuthResult(success=right, handled=False)

    async def take(self, envelope: Envelope) -> None:
        """Keep a mail."""
        assert isinstance(envelope.original_content, bytes)
        message = message_from_bytes(envelope.original_content, policy=default)
        assert isinstance(message, EmailMessage)
        async with self._changed:
            self.received.append(
                ReceivedMail(
                    str(envelope.mail_from), tuple(map(str, envelope.rcpt_tos)), envelope.original_content, message
                )
            )
            self._changed.notify_all()

    def connected(self, server: "_Server") -> None:
        """Count a connection."""
        self.connections += 1
        self._open.add(server)

    def disconnected(self, server: "_Server") -> None:
        """Forget one."""
        self._open.discard(server)


class _Handler:
    """What aiosmtpd calls when a mail is whole."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: "_Server", _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        answer = await self._mailbox.answer(server, "DATA")
        if answer is not None:
            return answer
        await self._mailbox.take(envelope)
        return "250 2.0.0 queued as 4BX7"


class _Server(SMTP):
    """One connection."""

    def __init__(self, mailbox: Mailbox, tls: ssl.SSLContext | None, *, login_needed: bool) -> None:
        super().__init__(
            _Handler(mailbox),
            tls_context=tls,
            require_starttls=tls is not None,
            auth_require_tls=False,
            authenticator=mailbox.authenticate,
            hostname="mail.example.com",
            loop=asyncio.get_running_loop(),
        )
        self._mailbox = mailbox
        self._login_needed = login_needed
        self._wire: asyncio.WriteTransport | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._wire is None:  # else it is the same one, encrypted by now
            assert isinstance(transport, asyncio.WriteTransport)
            self._wire = transport
            self._mailbox.connected(self)
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        super().connection_lost(error)

    def abort(self) -> None:
        """End it at once. Where a handshake failed nobody tells aiosmtpd that the connection is lost."""
        if self._wire is not None:
            self._wire.abort()
        self._forget()

    def _forget(self) -> None:
        self._mailbox.disconnected(self)
        if not self.gone.done():
            self.gone.set_result(None)

    @override
    async def smtp_EHLO(self, hostname: str) -> None:
        await self._unless_told("EHLO", super().smtp_EHLO, hostname)

    @override
    async def smtp_AUTH(self, arg: str) -> None:
        await self._unless_told("AUTH", super().smtp_AUTH, arg)

    @override
    async def smtp_MAIL(self, arg: str | None) -> None:
        if self._login_needed and not (self.session and self.session.authenticated):
            await self.push("530 5.7.0 Authentication required")
        else:
            await self._unless_told("MAIL", super().smtp_MAIL, arg)

    @override
    async def smtp_RCPT(self, arg: str | None) -> None:
        await self._unless_told("RCPT", super().smtp_RCPT, arg)

    @override
    async def smtp_RSET(self, arg: str) -> None:
        await self._unless_told("RSET", super().smtp_RSET, arg)

    async def _unless_told(self, command: Command, usual: Callable[[A], Awaitable[None]], arg: A) -> None:
        answer = await self._mailbox.answer(self, command)
        if answer is None:
            await usual(arg)
        else:
            await self.push(answer)
