"""Hosts that webhooks may be sent to though they are internal, as the operator lists them. Pure.

`MBUS_ALERTS_WEBHOOKS_ALLOWED` holds them, separated by commas: a name (`sink`), a name with its port (`sink:8080`), an
IP address with or without a port (`10.0.0.5`, `10.0.0.5:8080`, `[fd00::5]:8080`), a network (`10.1.0.0/16`). Without a
port every port is meant. What is listed may be called by plain `http` too, and may have any address. A name that is not
listed may lead to an address that is, by `https`.

Every tenant may give the URL of a host that is listed here.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from services.alerts.webhooks.addresses import IPAddress
from services.alerts.webhooks.names import dns_name, ends_in_a_number

IPNetwork = IPv4Network | IPv6Network

PORT_MAX = 65_535

WITH_PORT = re.compile(r"(?P<host>[^:\[\]]+|\[[^\[\]]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class AllowList:
    """Names and networks, each with the one port that is meant, or None for all. Empty, it allows nothing."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: frozenset[tuple[IPNetwork, int | None]] = frozenset()

    def has_name(self, name: str, port: int) -> bool:
        """Whether `name`, as `dns_name` spells it, is listed for this port."""
        return (name, None) in self.names or (name, port) in self.names

    def has_address(self, address: IPAddress, port: int) -> bool:
        """Whether `address` is listed for this port; one that embeds a listed address is not."""
        return any(address in network and of in (None, port) for network, of in self.networks)


def parse_allow_list(text: str) -> AllowList:
    """The list that `text` writes down. `ValueError` names the first entry that cannot be read."""
    names: set[tuple[str, int | None]] = set()
    networks: set[tuple[IPNetwork, int | None]] = set()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        found = _network(entry)
        if found is not None:
            networks.add((found, None))
            continue
        host, port = _host_and_port(entry)
        network = _network(host.strip("[]"))
        if network is not None and "/" not in host:
            networks.add((network, port))
        else:
            names.add((_name(host, entry), port))
    return AllowList(frozenset(names), frozenset(networks))


def _network(text: str) -> IPNetwork | None:
    """A network, or an address as a network of one; None where `text` is neither."""
    if "%" in text:  # a zone of one machine's interfaces
        return None
    try:
        return ip_network(text)
    except ValueError:
        return None


def _host_and_port(entry: str) -> tuple[str, int | None]:
    parts = WITH_PORT.fullmatch(entry)
    if parts is None:
        raise _unreadable(entry)
    host, port = parts["host"], parts["port"]
    if port is not None and not 1 <= int(port) <= PORT_MAX:
        raise ValueError(f"{entry!r} has a port that is not between 1 and {PORT_MAX}")
    return host, None if port is None else int(port)


def _name(host: str, entry: str) -> str:
    try:
        name = dns_name(host)
    except ValueError:
        raise _unreadable(entry) from None
    if ends_in_a_number(name):
        raise _unreadable(entry)
    return name


def _unreadable(entry: str) -> ValueError:
    return ValueError(
        f"{entry!r} is no host, host:port, IP address or network; such as sink, sink:8080, 10.0.0.5, 10.1.0.0/16"
    )
