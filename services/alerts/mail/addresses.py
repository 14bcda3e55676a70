"""Mail addresses: of a subscriber, and whom a mail is from. Nothing is looked up; whether it arrives the mail tells."""

import re
from dataclasses import dataclass
from email.headerregistry import Address

from email_validator import EmailNotValidError, validate_email

NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")

LONGEST_NAME = 100
"""Of a sender, in characters; a reader shows fewer."""


class UnusableMailAddress(ValueError):  # noqa: N818 - what it says of the address is the better name
    """No mail can be sent to that. The text says why, and does not repeat the address."""


@dataclass(frozen=True)
class Sender:
    """Whom a mail is from: the address, as it goes over the wire, and the name that readers see, perhaps empty."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """What follows the @."""
        return self.address.rpartition("@")[2]

    @property
    def header(self) -> Address:
        """The value of `From`."""
        return Address(display_name=self.name, addr_spec=self.address)


def parse_mail_address(text: str) -> str:
    """The address that `text` is, normalised, as it goes over the wire; `UnusableMailAddress` when it is none.

    The domain is in lower case and, where it is an international one, in its ASCII form (IDNA), which every server
    takes. An address that needs SMTPUTF8 (RFC 6531), since there are other letters before the @, is refused: few
    servers take those on, and it is better said to whoever subscribes than found out when a meter falls silent.
    Refused too are display names, quoted local parts, IP addresses, domains without a dot or reserved ones such as
    `.invalid`, and what is longer than 254 characters (RFC 5321).
    """
    return _parse(text, globally_deliverable=True)


def parse_sender(text: str) -> Sender:
    """Whom mail is from: `alerts@example.com`, or `M-Bus alerts <alerts@example.com>`.

    `UnusableMailAddress` when it is none. The domain may be one without a dot, of the operator's own network.
    """
    form = NAMED.fullmatch(text)
    name, address = ("", text) if form is None else (form["name"].strip(), form["address"])
    if name[:1] == name[-1:] == '"':
        name = name[1:-1].strip()
    if len(name) > LONGEST_NAME or not name.isprintable() or set(name) & set('"\\'):
        raise UnusableMailAddress(
            f"The name before the address has {LONGEST_NAME} printable characters at most, without \\ and quotes in it."
        )
    return Sender(_parse(address, globally_deliverable=False), name)


def _parse(text: str, *, globally_deliverable: bool) -> str:
    try:
        found = validate_email(
            text,
            strict=True,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=globally_deliverable,
            check_deliverability=False,
        )
    except EmailNotValidError as error:
        raise UnusableMailAddress(str(error)) from None
    if found.ascii_email is None:
        raise UnusableMailAddress("The letters before the @-sign must be ASCII.")
    return found.ascii_email
