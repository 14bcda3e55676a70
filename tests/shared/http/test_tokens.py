"""Bearer tokens: a good one is taken, any other is refused with its reason."""

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.reach import Reach
from shared.http.token_verifier import SharedSecret, TokenVerifier
from shared.http.tokens import Caller, TokenError, issue_token

SECRET = "a secret of the tests, long enough"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TENANT = UUID("7f6c0000-0000-4000-8000-000000000001")
CLAIMS = {
    "sub": "someone",
    "tenant_id": str(TENANT),
    "scope": "readings:read alerts:read",
    "aud": "mbus",
    "exp": NOW.timestamp() + 60,
}


def verifier(*, issuer: str | None = None, now: datetime = NOW) -> TokenVerifier:
    return TokenVerifier(SharedSecret(SECRET), audience="mbus", issuer=issuer, clock=lambda: now)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signed(payload: bytes, header: dict[str, Any] | None = None, *, key: str = SECRET) -> str:
    """A token with a good HS256 signature over anything."""
    head = json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header).encode()
    message = f"{encoded(head)}.{encoded(payload)}"
    return f"{message}.{encoded(hmac.digest(key.encode(), message.encode(), hashlib.sha256))}"


def token(**changes: object) -> str:
    """A token that is good but for `changes`; a change to None takes the claim out."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return signed(json.dumps(claims).encode())


async def test_an_issued_token_is_taken_until_it_expires() -> None:
    issued = issue_token(
        secret=SECRET,
        audience="mbus",
        issuer="https://issuer.example",
        subject="someone",
        tenant_id=TENANT,
        scopes=["readings:read", "alerts:write"],
        now=NOW,
        lifetime=timedelta(hours=1),
    )
    expected = Caller("someone", TENANT, frozenset({"readings:read", "alerts:write"}))
    last_second = NOW + timedelta(minutes=59, seconds=59)
    assert await verifier(issuer="https://issuer.example").verify(issued) == expected
    assert await verifier(issuer=None, now=last_second).verify(issued) == expected
    with pytest.raises(TokenError, match="the token has expired"):
        await verifier(now=NOW + timedelta(hours=1)).verify(issued)


@pytest.mark.parametrize("changes", [{}, {"nbf": NOW.timestamp()}, {"aud": ["other", "mbus"]}, {"exp": 253402300799}])
async def test_good_tokens_are_taken(changes: dict[str, object]) -> None:
    assert (await verifier().verify(token(**changes))).tenant_id == TENANT


async def test_a_token_may_narrow_its_holder_to_some_properties() -> None:
    assert (await verifier().verify(token())).reach == Reach(TENANT, None)
    assert (await verifier().verify(token(property_ids=[str(TENANT)]))).reach == Reach(TENANT, frozenset({TENANT}))
    assert (await verifier().verify(token(property_ids=[]))).reach == Reach(TENANT, frozenset())


@pytest.mark.parametrize("narrowing", ["", str(TENANT), 7, {}, [None], ["x"], [7], [[]], "null"])
async def test_a_narrowing_that_is_no_list_of_ids_is_refused_and_never_ignored(narrowing: object) -> None:
    claims = CLAIMS | {"property_ids": None if narrowing == "null" else narrowing}
    with pytest.raises(TokenError, match="property_ids is not a list of UUIDs"):
        await verifier().verify(signed(json.dumps(claims).encode()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "has no exp"),
        ({"aud": None}, "has no aud"),
        ({"sub": None}, "has no sub"),
        ({"tenant_id": None}, "has no tenant_id"),
        ({"exp": NOW.timestamp()}, "has expired"),
        ({"exp": True}, "exp is not a time"),
        ({"exp": "2026-12-01"}, "exp is not a time"),
        ({"exp": float("inf")}, "exp is not a time"),
        ({"exp": float("nan")}, "exp is not a time"),
        ({"exp": [1]}, "exp is not a time"),
        ({"exp": 10**12}, "exp is not a time"),
        ({"exp": 10**400}, "exp is not a time"),
        ({"exp": -(10**400)}, "exp is not a time"),
        ({"exp": 1e300}, "exp is not a time"),
        ({"nbf": NOW.timestamp() + 1}, "is not valid yet"),
        ({"nbf": "now"}, "nbf is not a time"),
        ({"nbf": 10**400}, "nbf is not a time"),
        ({"aud": "other"}, "for another audience"),
        ({"aud": {"mbus": 1}}, "for another audience"),
        ({"aud": [["mbus"]]}, "for another audience"),
        ({"sub": 7}, "cannot be read"),
        ({"sub": ""}, "sub is not"),
        ({"sub": "a" * 256}, "sub is not"),
        ({"sub": "a\0"}, "sub is not"),
        ({"sub": "\ud800"}, "sub is not"),
        ({"tenant_id": ""}, "tenant_id is not a UUID"),
        ({"tenant_id": "\ud800"}, "tenant_id is not a UUID"),
        ({"tenant_id": f"{TENANT}\0"}, "tenant_id is not a UUID"),
        ({"tenant_id": "demo"}, "tenant_id is not a UUID"),
        ({"tenant_id": 7}, "tenant_id is not a UUID"),
        ({"tenant_id": [str(TENANT)]}, "tenant_id is not a UUID"),
        ({"scope": ["readings:read"]}, "scope is not a string"),
    ],
)
async def test_a_claim_that_is_missing_or_bad_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(TokenError, match=reason):
        await verifier().verify(token(**changes))


async def test_a_token_without_a_scope_has_none() -> None:
    assert (await verifier().verify(token(scope=None))).scopes == frozenset()


@pytest.mark.parametrize("issuer", [None, "https://other.example", 7, ["https://issuer.example"]])
async def test_a_token_of_another_issuer_is_refused_when_one_is_set(issuer: object) -> None:
    with pytest.raises(TokenError):
        await verifier(issuer="https://issuer.example").verify(token(iss=issuer))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": ["HS256"]},
        {"typ": "JWT"},
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "kid": {"path": "../../dev/null"}},
        {"alg": "HS256", "b64": False},
        {"alg": "nOnE"},
        {"alg": None},
    ],
)
async def test_a_header_that_asks_for_something_else_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        await verifier().verify(signed(json.dumps(CLAIMS).encode(), header))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "not a token",
        "\0.\0.\0",
        "æ.ø.å",
        "\ud800.\ud800.\ud800",
        token()[:-2],
        token().rpartition(".")[0] + ".",
        signed(json.dumps(CLAIMS).encode(), key="another secret that is long enough"),
        signed(b"[]"),
        signed(b"\xff"),
        signed(b"[" * 5000),
        signed(b'{"a":' * 1500),
        signed(b'{"exp":' + b"9" * 5000 + b"}"),
        f"{encoded(b'[' * 5000)}..",
        "a" * 100_000,
    ],
)
async def test_what_is_no_token_of_ours_is_refused(text: str) -> None:
    with pytest.raises(TokenError):
        await verifier().verify(text)


async def test_a_token_that_was_good_is_refused_when_it_expires_though_it_is_remembered() -> None:
    now = NOW
    remembering = TokenVerifier(SharedSecret(SECRET), audience="mbus", issuer=None, clock=lambda: now)
    good = token(nbf=NOW.timestamp())
    assert await remembering.verify(good) is await remembering.verify(good)
    now = NOW - timedelta(seconds=1)
    with pytest.raises(TokenError, match="not valid yet"):
        await remembering.verify(good)
    now = NOW + timedelta(seconds=60)
    with pytest.raises(TokenError, match="expired"):
        await remembering.verify(good)


async def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.http.token_verifier.REMEMBERED_MAX", 2)
    remembering = verifier()
    first, second, third = (token(sub=name) for name in "abc")
    of_first, of_second, _ = [await remembering.verify(one) for one in (first, second, third)]
    assert await remembering.verify(second) is of_second
    assert await remembering.verify(first) is not of_first


WILD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, str(TENANT), "mbus"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(claims=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "iat", "iss", "jti", "property_ids"]), WILD))
async def test_whatever_the_claims_are_it_is_a_caller_or_a_refusal(claims: dict[str, object]) -> None:
    with suppress(TokenError):
        assert isinstance(await verifier().verify(signed(json.dumps(CLAIMS | claims).encode())), Caller)
