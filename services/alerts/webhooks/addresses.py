"""Which IP addresses are public, so that a customer's URL may lead there. Pure.

By tables of our own: what `ipaddress` calls global differs between Python 3.11 and 3.13. They follow IANA's
registries of special-purpose addresses (RFC 6890), and are stricter where a block has no web servers:
https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

NOT_PUBLIC_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network, RFC 791; Linux takes 0.0.0.0 for the machine itself
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # of every virtual machine in Azure: its host, though the address looks public
        "169.254.0.0/16",  # link-local, RFC 3927, and the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relays, taken out of use by RFC 7526
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, RFC 1112, and broadcast
    )
)

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out; outside lie loopback, ULA, link-local, site-local, multicast, IPv4-compatible and more."""

NOT_PUBLIC_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments: Teredo, which embeds an IPv4 address, benchmarking, ORCHID
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, which embeds an IPv4 address; out of use by RFC 7526
        "3fff::/20",  # documentation, RFC 9637
    )
)

EMBEDDING = (
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped: the machine connects to the IPv4 address
    IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052: what DNS64 makes of every IPv4 address in an IPv6-only network
)
"""Where the last 32 bits are the IPv4 address that is reached. Not 64:ff9b:1::/48, which has no one place for it."""


def is_public(address: IPAddress) -> bool:
    """Whether `address` is one of the public Internet, of one machine, and leads to no other that is not."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    if any(address in block for block in EMBEDDING):
        return is_public(IPv4Address(address.packed[-4:]))
    return address in GLOBAL_UNICAST and not any(address in block for block in NOT_PUBLIC_V6)
