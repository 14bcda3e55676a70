"""`MBUS_ALERTS_SMTP_…` and what mail needs beside it: checked together at the start, since half of it sends nothing."""

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from services.alerts.mail.addresses import Sender, UnusableMailAddress, parse_sender
from services.alerts.mail.sending import Encryption, Login, MailServer
from shared.settings import Settings

KEY_MIN_BYTES = 32
"""As long as what HMAC-SHA256 signs with (RFC 2104, 3)."""

PORTS = {Encryption.STARTTLS: 587, Encryption.TLS: 465, Encryption.NONE: 25}
"""Where a server listens whose URL names no port (RFC 6409, RFC 8314, RFC 5321)."""

LONGEST_PUBLIC_URL = 500
"""So that a header with a link in it stays within a line of 998 characters (RFC 5322, 2.1.1)."""


def _smtp_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        good = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and parts.port != 0
        good = good and parts.path in {"", "/"} and not parts.query and not parts.fragment
        # Both or neither; a login of two empty words is none.
        good = (
            good and bool(parts.username) == bool(parts.password) and (parts.username is None or bool(parts.username))
        )
        _login(parts)
    except ValueError:  # its text would repeat a part of the URL
        good = False
    if not good:
        raise ValueError(
            "must be smtp://host (with STARTTLS) or smtps://host (with TLS from the start), perhaps with a port and"
            " with a login: smtps://user:password@host:465, where signs such as @ are percent-encoded"
        )
    return url


def _public_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0 and parts.username is None
        good = good and not parts.query and not parts.fragment and len(url) <= LONGEST_PUBLIC_URL
        good = good and url.isascii() and url.isprintable() and not set(url) & set(' <>"\\')
        safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    except ValueError:
        good = safe = False
    if not (good and safe):
        raise ValueError(
            "must be an https:// URL without a login, a query or a fragment; http:// only for a host of this machine"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _mail_from(text: str) -> str:
    try:
        parse_sender(text)
    except UnusableMailAddress as error:
        raise ValueError(f"must be an address, or a name and <an address>: {error}") from None
    return text


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < KEY_MIN_BYTES:
        raise ValueError(f"must be at least {KEY_MIN_BYTES} bytes long")
    return key


@dataclass(frozen=True)
class Mailing:
    """All that it takes to send mail."""

    server: MailServer
    sender: Sender
    public_url: str
    """Without a slash at its end."""
    unsubscribe_key: bytes = field(repr=False)


class MailSettings(Settings):
    """A part of the settings of alerts, with their prefix, `MBUS_ALERTS_`. Without `smtp_url` there is no mail."""

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] | None = None
    """`smtp://` is upgraded by STARTTLS or not used at all; `smtps://` speaks TLS from the start."""
    smtp_without_tls: bool = False
    """Mail, and the login if there is one, go to an `smtp://` server in the clear."""
    smtp_ca_file: Path | None = None
    """Certificates, in PEM, to trust in the place of the system's."""
    smtp_timeout_s: Annotated[float, Field(ge=1, le=40, allow_inf_nan=False)] = 30.0
    """Of one mail in all, with the connection and the login. A server that only then takes it sends it twice."""
    mail_from: Annotated[str, AfterValidator(_mail_from)] | None = None
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """Where people reach the API of alerts; links in mails begin with it."""
    unsubscribe_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    """What links to unsubscribe are signed with; another key makes those of all mails before invalid."""

    @field_validator("smtp_ca_file")
    @classmethod
    def _holds_certificates(cls, file: Path | None) -> Path | None:
        if file is not None:
            try:
                ssl.create_default_context(cafile=file)
            except OSError:  # such as ssl.SSLError
                raise ValueError("must be a file of certificates in PEM that can be read") from None
        return file

    @model_validator(mode="after")
    def _all_of_it(self) -> Self:
        if self.smtp_url is None:
            return self
        needed = {
            "MBUS_ALERTS_MAIL_FROM": self.mail_from,
            "MBUS_ALERTS_PUBLIC_URL": self.public_url,
            "MBUS_ALERTS_UNSUBSCRIBE_KEY": self.unsubscribe_key,
        }
        missing = [name for name, value in needed.items() if value is None]
        if missing:
            raise ValueError(f"MBUS_ALERTS_SMTP_URL is set, and needs {', '.join(missing)}")
        if self.smtp_without_tls and urlsplit(self.smtp_url.get_secret_value()).scheme == "smtps":
            raise ValueError("MBUS_ALERTS_SMTP_WITHOUT_TLS contradicts the smtps:// of MBUS_ALERTS_SMTP_URL")
        if self.smtp_without_tls and self.smtp_ca_file is not None:
            raise ValueError("MBUS_ALERTS_SMTP_WITHOUT_TLS leaves nothing to do for MBUS_ALERTS_SMTP_CA_FILE")
        return self

    def mailing(self) -> Mailing | None:
        """What sends mail; None where `MBUS_ALERTS_SMTP_URL` is not set."""
        if self.smtp_url is None or self.mail_from is None or self.public_url is None or self.unsubscribe_key is None:
            return None
        parts = urlsplit(self.smtp_url.get_secret_value())
        if parts.scheme == "smtps":
            encryption = Encryption.TLS
        else:
            encryption = Encryption.NONE if self.smtp_without_tls else Encryption.STARTTLS
        server = MailServer(
            host=parts.hostname or "",
            port=parts.port or PORTS[encryption],
            encryption=encryption,
            login=_login(parts),
            ca_file=self.smtp_ca_file,
            timeout_s=self.smtp_timeout_s,
        )
        key = self.unsubscribe_key.get_secret_value().encode()
        return Mailing(server, parse_sender(self.mail_from), self.public_url, key)


def _login(parts: SplitResult) -> Login | None:
    if not parts.username or not parts.password:
        return None
    return Login(unquote(parts.username, errors="strict"), unquote(parts.password, errors="strict"))
