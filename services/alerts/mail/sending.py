"""Sends mails over SMTP: by few connections, each used for several mails, and every failure told as an outcome.

A connection is asked by RSET whether it still holds before a mail is given to it, so that one that the server closed in
the meantime costs a connection and not an attempt. From DATA on nothing is repeated here: whether the server has taken
the mail would not be known.
"""

import asyncio
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from enum import StrEnum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.alerts.mail.outcomes import Outcome, Sent, Stage, TryAgain, outcome_of, printable
from shared.logs import get_logger

CONNECTIONS = 4
"""At once. Relays allow few from one client; what comes beyond waits."""

MAILS_A_CONNECTION = 100
"""A server may limit them too, and a long connection keeps it from being moved."""

IDLE_AT_MOST_S = 30.0
"""Servers may close what says nothing for five minutes (RFC 5321, 4.5.3.2), and many do so earlier."""

PROBE_S = 5.0
"""How long an idle connection may take to answer RSET before another is made."""

GOODBYE_S = 2.0
"""How long an answer to QUIT is waited for; nothing depends on it."""


log = get_logger(__name__)

STAGES = {SMTPSenderRefused: Stage.MAIL, SMTPRecipientRefused: Stage.RCPT, SMTPDataError: Stage.DATA}


class Encryption(StrEnum):
    """How a connection is kept from being read or changed."""

    STARTTLS = auto()
    TLS = auto()
    NONE = auto()


@dataclass(frozen=True)
class Login:
    """At the mail server."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class MailServer:
    """Which server takes the mail on, and how it is talked to. `timeout_s` is of one mail, in all."""

    host: str
    port: int
    encryption: Encryption
    login: Login | None = None
    ca_file: Path | None = None
    timeout_s: float = 30.0


class _Connection:
    """One connection to the server, with what it has been used for."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext | None, own_name: str) -> None:
        login = server.login
        self._smtp = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=own_name,
            use_tls=server.encryption is Encryption.TLS,
            start_tls=server.encryption is Encryption.STARTTLS,
            tls_context=tls,
            # In UTF-8 (RFC 4616); of text the library would take ASCII only.
            username=None if login is None else login.user.encode(),
            password=None if login is None else login.password.encode(),
            timeout=server.timeout_s,
        )
        self._mails = 0
        self._used_at = 0.0

    async def open(self) -> None:
        """Connect, encrypt, log in."""
        await self._smtp.connect()

    @property
    def is_open(self) -> bool:
        """As far as it is known."""
        return self._smtp.is_connected

    @property
    def is_worn(self) -> bool:
        """Whether it has had its share of mails, or has been idle for long."""
        idle_s = asyncio.get_running_loop().time() - self._used_at
        return self._mails >= MAILS_A_CONNECTION or idle_s >= IDLE_AT_MOST_S

    async def still_holds(self) -> bool:
        """Whether the server still answers, which also makes it forget what it refused; closed where it does not."""
        holds = False
        try:
            with suppress(SMTPException, OSError):
                await self._smtp.rset(timeout=PROBE_S)
                holds = True
        finally:
            if not holds:
                self.close()
        return holds

    async def send(self, sender: str, recipient: str, payload: bytes) -> str:
        """Give one mail to the server, and return what it said when it took it."""
        self._mails += 1
        self._used_at = asyncio.get_running_loop().time()
        size = [f"SIZE={len(payload)}"] if self._smtp.supports_extension("size") else []
        await self._smtp.mail(sender, options=size)
        await self._smtp.rcpt(recipient)
        return (await self._smtp.data(payload)).message

    async def say_goodbye(self) -> None:
        """End it as the protocol wants it, where the server plays along; nothing depends on that."""
        try:
            with suppress(SMTPException, OSError):
                await self._smtp.quit(timeout=GOODBYE_S)
        finally:
            self.close()

    def close(self) -> None:
        """End it at once."""
        self._smtp.close()


class MailSender:
    """Sends mails by one server, while the block lasts; from several tasks at once if they like.

    Raises `OSError` on entering where the file of certificates cannot be read.
    """

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._own_name = "localhost"
        self._tls: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def __aenter__(self) -> Self:
        if self._server.encryption is not Encryption.NONE:
            self._tls = ssl.create_default_context(cafile=self._server.ca_file)
        # Once, since it may ask the network.
        self._own_name = await asyncio.to_thread(socket.getfqdn)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end(self._idle)

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> Outcome:
        """Send `message` from one bare address to another, and tell what has become of it; failures do not raise.

        The addresses are as `parse_mail_address` gives them. It takes the server's `timeout_s` at most, with the wait
        for one of `CONNECTIONS`. Where the time was up, or the connection lost, after the mail was sent, it may have
        arrived all the same: it comes again under the same Message-ID.
        """
        payload = message.as_bytes()
        try:
            async with asyncio.timeout(self._server.timeout_s), self._free:
                return await self._send(sender, recipient, payload)
        except TimeoutError:
            return TryAgain(f"The mail server did not answer within {self._server.timeout_s:g} s.")

    async def _send(self, sender: str, recipient: str, payload: bytes) -> Outcome:
        """As `send` does. When the server has taken the mail nothing is waited for, so that it stays taken."""
        try:
            connection = await self._connection()
        except (SMTPException, OSError) as error:
            return self._not_connected(error)
        try:
            reply = await connection.send(sender, recipient, payload)
        except (SMTPSenderRefused, SMTPRecipientRefused, SMTPDataError) as refusal:
            self._give_back(connection)
            return self._refused(refusal)
        except (SMTPException, OSError) as error:
            connection.close()
            self._log(error)
            return TryAgain("The connection to the mail server was lost.")
        except BaseException:
            # It was interrupted: which answer comes next nobody would know.
            connection.close()
            raise
        self._give_back(connection)
        return Sent(printable(self._without_secrets(reply)))

    async def _connection(self) -> _Connection:
        """One that is open: of the idle ones, those that are worn end here."""
        await self._end([connection for connection in self._idle if connection.is_worn])
        while self._idle:
            connection = self._idle.pop()
            if await connection.still_holds():
                return connection
        connection = _Connection(self._server, self._tls, self._own_name)
        await connection.open()
        return connection

    def _give_back(self, connection: _Connection) -> None:
        if connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()

    async def _end(self, connections: list[_Connection]) -> None:
        ended = list(connections)
        self._idle = [connection for connection in self._idle if connection not in ended]
        await asyncio.gather(*(connection.say_goodbye() for connection in ended))

    def _not_connected(self, error: SMTPException | OSError) -> Outcome:
        match error:
            case SMTPAuthenticationError():
                return outcome_of(Stage.LOGIN, error.code, error.message)
            case SMTPResponseException():
                return outcome_of(Stage.CONNECT, error.code, self._without_secrets(error.message))
            case _:
                self._log(error)
                return TryAgain("The mail server cannot be used.")

    def _refused(self, refusal: SMTPSenderRefused | SMTPRecipientRefused | SMTPDataError) -> Outcome:
        return outcome_of(STAGES[type(refusal)], refusal.code, self._without_secrets(refusal.message))

    def _log(self, error: Exception) -> None:
        """For the operator; which server it is, and what is wrong with it, is none of a tenant's business."""
        log.warning("mail_server_failed", error=printable(self._without_secrets(str(error) or type(error).__name__)))

    def _without_secrets(self, text: str) -> str:
        """What a server said, without the login that it might repeat, in any form in which it was sent."""
        login = self._server.login
        if login is None:
            return text
        password = login.password.encode()
        plain = b"\0" + login.user.encode() + b"\0" + password
        for secret in (b64encode(plain).decode(), b64encode(password).decode(), login.password):
            text = text.replace(secret, "***")
        return text
