"""The hosts that may be internal, as the operator writes them down."""

from ipaddress import ip_address

import pytest

from services.alerts.webhooks.allow_list import AllowList, parse_allow_list

LIST = parse_allow_list("sink, Hooks.Intra.Example.:8080,10.0.0.5,10.0.0.6:8443, 10.1.0.0/16,[fd00::5]:8080,fd01::/64")


@pytest.mark.parametrize(
    ("name", "port", "listed"),
    [
        ("sink", 80, True),
        ("sink", 9999, True),
        ("hooks.intra.example", 8080, True),
        ("hooks.intra.example", 443, False),
        ("other.sink", 80, False),
        ("10.0.0.5", 80, False),
    ],
)
def test_a_name_is_listed_for_every_port_or_for_its_own(name: str, port: int, listed: bool) -> None:
    assert LIST.has_name(name, port) == listed


@pytest.mark.parametrize(
    ("address", "port", "listed"),
    [
        ("10.0.0.5", 1, True),
        ("10.0.0.6", 8443, True),
        ("10.0.0.6", 443, False),
        ("10.1.255.255", 80, True),
        ("10.2.0.0", 80, False),
        ("::ffff:10.0.0.5", 80, False),
        ("fd00::5", 8080, True),
        ("fd00::5", 80, False),
        ("fd01::abcd", 80, True),
        ("fd01:0:0:1::", 80, False),
    ],
)
def test_an_address_is_listed_by_itself_or_by_its_network(address: str, port: int, listed: bool) -> None:
    assert LIST.has_address(ip_address(address), port) == listed


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_nothing_is_listed_where_nothing_is_written(text: str) -> None:
    assert parse_allow_list(text) == AllowList()


@pytest.mark.parametrize(
    "entry",
    [
        "http://sink",
        "*.sink",
        "sink:",
        "sink:0",
        "sink:65536",
        "sink:http",
        "sink/hook",
        "user@sink",
        "sink sink",
        "-sink",
        "10.1.0.1/16",
        "10.1.0.0/33",
        "10.0.0.0/8:80",
        "[10.0.0.0/8]:80",
        "127.1",
        "0x7f.1:80",
        "fe80::1%eth0",
        "[fe80::1%eth0]:80",
        "[]:80",
        "fd00::5:8080:x",
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is no host, host:port|has a port") as refusal:
        parse_allow_list(f"good, {entry}, better")
    assert repr(entry) in str(refusal.value)
