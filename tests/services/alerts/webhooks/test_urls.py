"""The URLs that webhooks are sent to, and the many that lead somewhere else than they seem to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.webhooks.allow_list import AllowList, parse_allow_list
from services.alerts.webhooks.urls import URL_MAX_CHARACTERS, UnusableUrl, check_url

NONE = AllowList()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        ("HTTPS://Hooks.Example.COM/Path", "https://hooks.example.com/Path"),
        ("https://hooks.example.com./x", "https://hooks.example.com/x"),
        ("https://hooks.example.com:443/x", "https://hooks.example.com/x"),
        ("https://hooks.example.com:08443/x", "https://hooks.example.com:8443/x"),
        ("https://hooks.example.com?a=1&b[]=2", "https://hooks.example.com/?a=1&b[]=2"),
        ("https://hooks.example.com/x?u=https://a@b/?c", "https://hooks.example.com/x?u=https://a@b/?c"),
        ("https://hooks.example.com/%2e%2e/@x:1", "https://hooks.example.com/%2e%2e/@x:1"),
        ("https://bücher.example.com/x", "https://xn--bcher-kva.example.com/x"),
        ("https://xn--bcher-kva.example.com/x", "https://xn--bcher-kva.example.com/x"),
        ("https://hooks\uff0eexample\u3002com/x", "https://hooks.example.com/x"),
        ("https://\uff28ooks.example.com/x", "https://hooks.example.com/x"),
        ("https://1.1.1.1/x", "https://1.1.1.1/x"),
        ("https://1.1.1.1./x", "https://1.1.1.1/x"),
        ("https://[2606:4700:0:0::1111]:8443/x", "https://[2606:4700::1111]:8443/x"),
        ("https://[::ffff:1.1.1.1]/", "https://[::ffff:101:101]/"),
        ("https://127.0.0.1.nip.io/", "https://127.0.0.1.nip.io/"),  # a name; judged where it leads to
    ],
)
def test_a_good_url_has_one_spelling(text: str, url: str) -> None:
    endpoint = check_url(text, NONE)
    # Of a mapped address Python writes the end as it likes, in one version or another.
    assert endpoint.url in (url, url.replace("::ffff:101:101", "::ffff:1.1.1.1"))
    assert check_url(endpoint.url, NONE) == endpoint


def test_its_parts_are_what_is_connected_to_and_asked_for() -> None:
    endpoint = check_url("https://[2606:4700::1111]:8443/a?b=c", NONE)
    assert (endpoint.scheme, endpoint.host, endpoint.port) == ("https", "2606:4700::1111", 8443)
    assert (endpoint.target, endpoint.authority) == ("/a?b=c", "[2606:4700::1111]:8443")
    assert check_url("https://a.example.com:443", NONE).authority == "a.example.com"


BAD_HOSTS = [
    # Internal addresses, and all the forms in which they are written.
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.0.0.1.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "0x",
    "127.0.0.0x1",
    "00127.0.0.1",
    "1.1.1.01",
    "256.1.1.1",
    "example.com.1",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "255.255.255.255",
    "\uff11\uff12\uff17.0.0.1",
    "①②⑦.0.0.1",
    "127\u30020\u30020\u30021",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.example.com",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1.1.1.1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[fe80::1%25eth0]",
    "[2606:4700::1111%eth0]",
    "[v1.fe80]",
    "[1.1.1.1]",
    "[]",
    "::1",
    "2606:4700::1111",
    "[::1",
    "::1]",
    # Names of this network.
    "localhost",
    "LOCALHOST.",
    "loca\u00adlhost",
    "\u24c1ocalhost",
    "a.localhost",
    "localhost.localdomain",
    "printer.local",
    "metadata.google.internal",
    "hub.home.arpa",
    "box.lan",
    "x.corp",
    "postgres",
    "postgres.",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "x.onion",
    "x.test",
    # No names.
    "",
    ".",
    "..",
    "a..example.com",
    ".example.com",
    "example.com..",
    "-a.example.com",
    "a-.example.com",
    "a b.example.com",
    "a!.example.com",
    "a*.example.com",
    "a,b.example.com",
    "xn--a.example.com",
    "\u202eexample.com",
    "\ud800.example.com",
    f"{'a' * 64}.example.com",
    f"{'a.' * 130}com",
    # Two readings.
    "user@example.com",
    "user:password@example.com",
    "@example.com",
    "example.com@127.0.0.1",
    "1.1.1.1 @127.0.0.1",
    "1.1.1.1\\@127.0.0.1",
    "example.com\\.internal",
    "127.0.0.1:80:443",
    "[2606:4700::1111]x",
]


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("port", ["", ":8443"])
def test_a_host_that_is_not_public_is_refused_in_every_form(host: str, port: str) -> None:
    with pytest.raises(UnusableUrl) as refusal:
        check_url(f"https://{host}{port}/x", NONE)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "https:hooks.example.com",
        "https:/hooks.example.com",
        "https:///hooks.example.com",
        "https://",
        "https://?",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "javascript:alert(1)",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com#@127.0.0.1/",
        "https://hooks.example.com/a b",
        " https://hooks.example.com/",
        "https://hooks.example.com/\n",
        "https://hooks.example.com/\r\nHost: x",
        "https://hooks.example.com/\x00",
        "ht\ttps://hooks.example.com/",
        "https://hooks.example.com/\x7f",
        "https://hooks.example.com/ü",
        "https://hooks.example.com/\\x",
        "https:\\\\hooks.example.com/",
        'https://hooks.example.com/"',
        "https://hooks.example.com:0/",
        "https://hooks.example.com:/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:99999999/",
        "https://hooks.example.com:-1/",
        "https://hooks.example.com:+443/",
        "https://hooks.example.com:\uff1443/",
        "https://hooks.example.com:https/",
        "https://hooks.example.com/" + "a" * URL_MAX_CHARACTERS,
    ],
)
def test_what_is_no_plain_https_url_is_refused(text: str) -> None:
    with pytest.raises(UnusableUrl):
        check_url(text, NONE)


def test_the_longest_url_is_taken() -> None:
    text = "https://hooks.example.com/".ljust(URL_MAX_CHARACTERS, "a")
    assert check_url(text, NONE).url == text


ALLOWED = parse_allow_list("sink,my_sink:8080,localhost,10.1.0.0/16,127.0.0.1:9000,[::1]:9000")


@pytest.mark.parametrize(
    "text",
    [
        "http://sink/x",
        "https://sink/x",
        "http://sink:9999/x",
        "http://my_sink:8080/x",
        "http://localhost/x",
        "http://10.1.2.3/x",
        "https://10.1.2.3:8443/x",
        "http://127.0.0.1:9000/x",
        "http://[::1]:9000/x",
        "https://hooks.example.com/x",
    ],
)
def test_what_is_allowed_may_be_internal_and_plain_http(text: str) -> None:
    assert check_url(text, ALLOWED).url == text


@pytest.mark.parametrize(
    "text",
    [
        "http://my_sink/x",
        "http://a.sink/x",
        "http://127.0.0.1/x",
        "http://127.1:9000/x",
        "http://2130706433:9000/x",
        "http://[::ffff:127.0.0.1]:9000/x",
        "http://10.2.0.1/x",
        "https://10.2.0.1/x",
        "http://hooks.example.com/x",
        "http://1.1.1.1/x",
        "http://user@sink/x",
        "ftp://sink/x",
        "http://sink:0/x",
    ],
)
def test_what_is_allowed_allows_nothing_else(text: str) -> None:
    with pytest.raises(UnusableUrl):
        check_url(text, ALLOWED)


URLISH = st.text("htps:/.@[]#?%\\ 0127xfa-_\u3002\uff11e\x00", max_size=40) | st.text(max_size=40)


@given(URLISH, st.sampled_from(["", "https://", "http://", "https://a.example.com"]))
def test_any_text_is_refused_in_a_sentence_or_spelt_once_and_for_all(text: str, start: str) -> None:
    try:
        endpoint = check_url(start + text, ALLOWED)
    except UnusableUrl:
        return
    assert endpoint.url.isascii()
    assert check_url(endpoint.url, ALLOWED) == endpoint
