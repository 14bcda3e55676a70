"""Which addresses are public, in every form that hides one which is not."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.webhooks.addresses import is_public

PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:800::200e",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",  # metadata of a cloud
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # host of a cloud's machines
    "169.254.169.254",  # metadata of most clouds
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # metadata of a cloud
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible
    "::8.8.8.8",
    "::ffff:0:8.8.8.8",  # translated, RFC 2765
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",  # discard only
    "2001::1",  # Teredo
    "2001:0:7f00:1::",
    "2001:2::1",  # benchmarking
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of loopback
    "2002:808:808::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of a cloud
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700:4700::1111%eth0",
    "fec0::1",  # site-local
    "ff02::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_not(text: str) -> None:
    assert not is_public(ip_address(text))


NAT64 = IPv6Network("64:ff9b::/96")
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
INTERNAL_BLOCKS = ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16")
INTERNAL = st.sampled_from(INTERNAL_BLOCKS).flatmap(lambda block: st.ip_addresses(v=4, network=block))


def inside(prefix: str, address: IPv4Address, shift: int) -> IPv6Address:
    return IPv6Address(int(IPv6Address(prefix)) | int(address) << shift)


@given(INTERNAL, st.integers(0, 2**16 - 1))
def test_an_internal_address_stays_one_whatever_it_is_embedded_in(address: IPv4Address, rest: int) -> None:
    assert not is_public(address)
    for prefix, shift in (("::", 0), ("::ffff:0:0", 0), ("64:ff9b::", 0), ("64:ff9b:1::", 0), ("::ffff:0:0:0", 0)):
        assert not is_public(inside(prefix, address, shift))
    assert not is_public(IPv6Address(int(inside("2002::", address, 80)) | rest))
    teredo = inside("2001::", IPv4Address(~int(address) & 0xFFFF_FFFF), 0)
    assert not is_public(teredo)
    assert not is_public(inside("2001::", address, 64))


@given(V4)
def test_what_is_mapped_or_translated_is_judged_as_the_address_in_it(address: IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert is_public(inside(prefix, address, 0)) == is_public(address)


@given(V4 | st.ip_addresses(v=4).map(lambda one: IPv4Address(int(one))))
def test_it_is_stricter_than_the_standard_library(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not is_public(address)


@given(V6 | st.ip_addresses(v=6).map(lambda one: IPv6Address(int(one))))
def test_it_is_stricter_than_the_standard_library_for_ipv6(address: IPv6Address) -> None:
    mapped = address.ipv4_mapped is not None or address in NAT64
    if not mapped and (not address.is_global or address.is_multicast or address.is_reserved or address.is_site_local):
        assert not is_public(address)
