"""Which URLs of a customer webhooks are sent to, and one spelling for each. Pure.

Parsed by rules of our own that leave no two readings: what one parser takes for a name, another takes for an address.
What a name leads to is judged when it is connected to (`connecting`), each time.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from services.alerts.webhooks.addresses import IPAddress, is_public
from services.alerts.webhooks.allow_list import PORT_MAX, AllowList
from services.alerts.webhooks.names import dns_name, ends_in_a_number

URL_MAX_CHARACTERS = 2048

DEFAULT_PORTS = {"https": 443, "http": 80}

# Any path and query of printable ASCII but for what RFC 3986 has no place for; [ and ] are common in queries.
URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<target>(?:[/?][!-~]*)?)")
NEVER = re.compile(r'[\x00-\x20\x7f-\xa0\\"<>^`{|}]')
AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?P<port>:[0-9]{1,5})?")

INTERNAL = frozenset(
    {
        "localhost",  # RFC 6761, as are test and invalid
        "test",
        "invalid",
        "local",  # mDNS, RFC 6762, and cluster.local
        "home.arpa",  # RFC 8375
        "internal",  # set aside by ICANN in 2024 for private use; metadata.google.internal
        "onion",  # RFC 7686
        "alt",  # RFC 9476
        "localdomain",
        "intranet",  # these and the next are the private names of RFC 6762, appendix G
        "private",
        "corp",
        "home",
        "lan",
        "svc",  # services of Kubernetes
    }
)
"""Ends of names that are of no public host."""


class UnusableUrl(ValueError):  # noqa: N818 - it is what the URL is, and no fault of a program
    """No webhook is sent to this URL. The text is a sentence for the person who gave it."""


@dataclass(frozen=True)
class Endpoint:
    """Where webhooks are posted to; `url` is the whole of it, in its one spelling, and is what is kept."""

    url: str
    scheme: str
    host: str
    """A name in ASCII, or an IP address without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only where it is not the usual one."""
        return _authority(self.scheme, self.host, self.port)

    @property
    def origin(self) -> str:
        """Scheme, host and port: endpoints of one origin may share connections."""
        return f"{self.scheme}://{self.authority}"


def check_url(text: str, allowed: AllowList) -> Endpoint:
    """The endpoint at `text`; `UnusableUrl` where it is none that webhooks may be sent to.

    `https` only, to a public name or address, but for what is `allowed`.
    """
    if len(text) > URL_MAX_CHARACTERS:
        raise UnusableUrl(f"The URL must not be longer than {URL_MAX_CHARACTERS} characters.")
    if NEVER.search(text):
        raise UnusableUrl('The URL must not contain spaces, control characters, backslashes or any of "<>^`{|}.')
    if "#" in text:
        raise UnusableUrl("The URL must not have a fragment (#…).")
    parts = URL.fullmatch(text)
    if parts is None or parts["scheme"].lower() not in DEFAULT_PORTS:
        raise UnusableUrl("The URL must start with https:// and be written in ASCII after the host's name.")
    scheme, authority = parts["scheme"].lower(), parts["authority"]
    if "@" in authority:
        raise UnusableUrl("The URL must not contain a user name or password.")
    pair = AUTHORITY.fullmatch(authority)
    if pair is None or not pair["host"]:
        raise UnusableUrl("The URL must name a host, perhaps with a port.")
    port = DEFAULT_PORTS[scheme] if pair["port"] is None else int(pair["port"][1:])
    if not 1 <= port <= PORT_MAX:
        raise UnusableUrl(f"The URL's port must be between 1 and {PORT_MAX}.")
    host, is_allowed = _host(pair["host"], port, allowed)
    if scheme != "https" and not is_allowed:
        raise UnusableUrl("The URL must start with https://.")
    target = parts["target"] if parts["target"].startswith("/") else f"/{parts['target']}"
    return Endpoint(f"{scheme}://{_authority(scheme, host, port)}{target}", scheme, host, port, target)


def literal_address(host: str) -> IPAddress | None:
    """The address that an endpoint's host is; None for a name."""
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if ends_in_a_number(host) else None


def _host(text: str, port: int, allowed: AllowList) -> tuple[str, bool]:
    """The host in its one spelling, and whether it is one that may be internal."""
    if text.startswith("["):
        return _address(_ipv6(text[1:-1]), port, allowed)
    try:
        name = dns_name(text)
    except ValueError:
        raise UnusableUrl("The URL's host is not a name that DNS knows, nor an IP address.") from None
    if ends_in_a_number(name):
        return _address(_ipv4(name), port, allowed)
    if allowed.has_name(name, port):
        return name, True
    if "." not in name or any(name == end or name.endswith(f".{end}") for end in INTERNAL):
        raise UnusableUrl("The URL's host must have a public name, such as hooks.example.com.")
    return name, False


def _ipv6(text: str) -> IPv6Address:
    if "%" in text:
        raise UnusableUrl("The URL's IPv6 address must not have a zone (%…).")
    try:
        return IPv6Address(text)
    except ValueError:
        raise UnusableUrl("The URL's host in brackets must be an IPv6 address.") from None


def _ipv4(name: str) -> IPv4Address:
    try:
        return IPv4Address(name)  # takes four decimal numbers only, without leading zeros
    except ValueError:
        raise UnusableUrl("The URL's IPv4 address must be four decimal numbers, such as 203.0.113.7.") from None


def _address(address: IPAddress, port: int, allowed: AllowList) -> tuple[str, bool]:
    is_allowed = allowed.has_address(address, port)
    if not is_allowed and not is_public(address):
        raise UnusableUrl("The URL's IP address must be a public one.")
    return str(address), is_allowed


def _authority(scheme: str, host: str, port: int) -> str:
    written = f"[{host}]" if ":" in host else host
    return written if port == DEFAULT_PORTS[scheme] else f"{written}:{port}"
