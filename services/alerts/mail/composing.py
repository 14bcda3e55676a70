"""Makes a message of what a mail says: text and HTML beside each other, and the headers that programs go by.

It is ASCII throughout, by quoted-printable and encoded words, so that no server on its way needs to convert it, which
would break a DKIM signature.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.headerregistry import Address, AddressHeader
from email.message import EmailMessage
from email.policy import EmailPolicy
from uuid import UUID

from typing_extensions import override

from services.alerts.mail.addresses import Sender
from services.alerts.mail.unsubscribe import unsubscribe_headers
from shared.models import Language

PLAIN = re.compile(r"[A-Za-z0-9-]+( [A-Za-z0-9-]+)*")
"""Words that mean nothing else in any header."""

SHORT = 60
"""Characters that fit into a line with the header's name."""


@dataclass(frozen=True)
class Mail:
    """What one mail says: a subject of one bounded line, and the same in plain text and in HTML."""

    language: Language
    subject: str
    text: str
    html: str


class _Policy(EmailPolicy):
    """SMTP's, but for headers that the library breaks where they are longer than a line.

    It makes encoded words of one long word, which are an address or a link to no program, and loses spaces and quotes
    between encoded words. A line may have 998 characters (RFC 5322, 2.1.1); the longest here is a URL.
    """

    whole = frozenset({"to", "message-id", "list-unsubscribe"})

    @override
    def fold(self, name: str, value: str) -> str:
        """The header's lines as text."""
        match name.lower():
            case "from" if isinstance(value, AddressHeader) and value.addresses[0].display_name:
                (address,) = value.addresses
                lines = f"{_encoded(name, address.display_name)}{self.linesep} <{address.addr_spec}>"
            case "subject":
                lines = _encoded(name, value)
            case lower if lower in self.whole:
                lines = str(value)
            case _:
                return str(super().fold(name, value))
        return f"{name}: {lines}{self.linesep}"

    @override
    def fold_binary(self, name: str, value: str) -> bytes:
        """The header's lines as they are sent."""
        return self.fold(name, value).encode()


def _encoded(name: str, text: str) -> str:
    """A few plain words as they are, all else whole as encoded words (RFC 2047)."""
    if len(text) <= SHORT and PLAIN.fullmatch(text):
        return text
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")


def message_id(delivery_id: UUID, sender: Sender) -> str:
    """The `Message-ID` of a delivery: the same at each attempt, so that a mail that came twice is known for one."""
    return f"<{delivery_id}@{sender.domain}>"


def compose(
    mail: Mail,
    *,
    sender: Sender,
    recipient: str,
    message_id: str,
    composed_at: datetime,
    unsubscribe_url: str | None,
) -> EmailMessage:
    """The message of `mail`, as it is sent to one address.

    `composed_at` is its `Date`. `Auto-Submitted` keeps out-of-office replies away (RFC 3834). Raises `ValueError` where
    a header would have a second line.
    """
    message = EmailMessage(policy=_Policy(linesep="\r\n"))
    message["From"] = sender.header
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = mail.subject
    message["Date"] = composed_at
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    if unsubscribe_url is not None:
        for name, value in unsubscribe_headers(unsubscribe_url).items():
            message[name] = value
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    # Last: a header of content that was there before would be taken for one of the first part.
    message["Content-Language"] = mail.language.value
    return message
