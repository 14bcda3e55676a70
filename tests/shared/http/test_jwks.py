"""Tokens that an issuer signs: its keys are fetched from one place, rarely, and never because of what a token says."""

import asyncio
import gzip
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from shared.http.jwks import COOLDOWN_S, KEPT_S, JwksKeys
from shared.http.signing_keys import KeySetError, keys_of
from shared.http.token_verifier import TokenVerifier
from shared.http.tokens import KeysAwayError, TokenError
from tests.shared.http.issuer import EC, ED, RSA, Issuer, PrivateKey, public_jwk, signed_by

URL = "https://issuer.example/keys"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TENANT = UUID("7f6c0000-0000-4000-8000-000000000001")
CLAIMS = {"sub": "someone", "tenant_id": str(TENANT), "aud": "mbus", "exp": int(NOW.timestamp()) + 60}
AWAY = httpx2.ConnectError("nobody there")


class Time:
    """A clock that stands still until a test moves it on, by seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def verifying(issuer: Issuer, time: Time | None = None) -> AsyncIterator[TokenVerifier]:
    """What verifies the tokens of `issuer`, after it was asked for its keys for the first time."""
    keys = JwksKeys(URL, transport=issuer.transport, monotonic=time or Time())
    async with keys.open():
        await issuer.was_asked.wait()
        yield TokenVerifier(keys, audience="mbus", issuer=None, clock=lambda: NOW)


def token(key: PrivateKey, **header: object) -> str:
    return signed_by(key, CLAIMS, header)


def forged(header: Mapping[str, object], *, secret: bytes) -> str:
    """A token signed with HMAC, whatever its header says."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, CLAIMS)]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize("key", [RSA, EC, ED])
async def test_a_token_that_a_published_key_signed_is_taken_with_and_without_a_kid(key: PrivateKey) -> None:
    async with verifying(Issuer({"rsa": RSA, "ec": EC, "ed": ED})) as tokens:
        kid = {RSA: "rsa", EC: "ec", ED: "ed"}[key]
        assert (await tokens.verify(token(key, kid=kid))).tenant_id == TENANT
        assert (await tokens.verify(token(key))).tenant_id == TENANT


async def test_many_requests_at_the_start_are_one_fetch() -> None:
    issuer = Issuer({"1": RSA})
    async with verifying(issuer) as tokens:
        await asyncio.gather(*(tokens.verify(token(RSA, kid="1", jti=number)) for number in range(50)))
    assert issuer.asked == [URL]


async def test_without_a_kid_it_must_be_the_only_key_of_its_kind() -> None:
    other = generate_rsa_key(public_exponent=65537, key_size=2048)
    issuer = Issuer({"1": RSA, "2": other})
    async with verifying(issuer) as tokens:
        assert (await tokens.verify(token(RSA, kid="1"))).tenant_id == TENANT
        with pytest.raises(TokenError, match="a key that is not known"):
            await tokens.verify(token(RSA))
    assert issuer.asked == [URL]


def published(*members: object) -> bytes:
    return json.dumps({"keys": members}).encode()


PUBLIC_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PUBLIC_DER = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
EVIL = "https://evil.example/keys"
SELF_SIGNED = generate_ec_key(EC.curve)


@pytest.mark.parametrize(
    "attack",
    [
        forged({"alg": "none"}, secret=b""),
        forged({"alg": "none", "kid": "1"}, secret=b"").rpartition(".")[0] + ".",
        forged({"alg": "HS256", "kid": "1"}, secret=PUBLIC_PEM),
        forged({"alg": "HS256"}, secret=PUBLIC_DER),
        forged({"alg": "HS256", "kid": "1"}, secret=json.dumps(public_jwk(RSA, "1")).encode()),
        forged({"alg": "RS256", "kid": "1"}, secret=PUBLIC_PEM),
        forged({"alg": "ES256", "kid": "1"}, secret=PUBLIC_PEM),
        forged({"alg": ["RS256"], "kid": "1"}, secret=PUBLIC_PEM),
        forged({"alg": {}, "kid": "1"}, secret=PUBLIC_PEM),
        forged({"kid": "1"}, secret=PUBLIC_PEM),
        forged({"alg": "RS256", "kid": ["1"]}, secret=PUBLIC_PEM),
        forged({"alg": "RS256", "kid": "../../../../dev/null"}, secret=b""),
        forged({"alg": "RS256", "kid": EVIL}, secret=b""),
        forged({"alg": "RS256", "kid": "1' OR '1'='1"}, secret=b""),
        forged({"alg": "RS256", "kid": "\ud800\0"}, secret=b""),
        signed_by(SELF_SIGNED, CLAIMS, {"kid": "1"}),
        signed_by(SELF_SIGNED, CLAIMS, {"jku": EVIL}),
        signed_by(SELF_SIGNED, CLAIMS, {"kid": "1", "jku": EVIL, "x5u": EVIL}),
        signed_by(SELF_SIGNED, CLAIMS, {"kid": "1", "jwk": public_jwk(SELF_SIGNED, "1")}),
        signed_by(RSA, CLAIMS, {"kid": "1", "crit": ["exp"]}),
        signed_by(RSA, CLAIMS | {"aud": "other"}, {"kid": "1"}),
        signed_by(RSA, {name: value for name, value in CLAIMS.items() if name != "exp"}, {"kid": "1"}),
    ],
    ids=range(22),
)
async def test_an_attack_is_refused_and_leads_nowhere_but_to_the_configured_url(attack: str) -> None:
    issuer = Issuer({"1": RSA})
    async with verifying(issuer) as tokens:
        with pytest.raises(TokenError):
            await tokens.verify(attack)
    assert set(issuer.asked) == {URL}


async def test_junk_leads_to_one_fetch_in_so_many_seconds_whoever_sends_it() -> None:
    issuer, time = Issuer({"1": RSA}), Time()
    async with verifying(issuer, time) as tokens:
        await tokens.verify(token(RSA, kid="1"))
        for _ in range(3):
            time.now += COOLDOWN_S
            for _ in range(2):  # those that come together, and those that come after the fetch
                junk = [tokens.verify(token(RSA, kid=f"junk {number}")) for number in range(100)]
                outcomes = await asyncio.gather(*junk, return_exceptions=True)
                assert {type(outcome) for outcome in outcomes} == {TokenError}
    assert len(issuer.asked) == 1 + 3


async def test_a_token_that_no_published_key_could_sign_leads_to_no_fetch() -> None:
    issuer, time = Issuer({"1": RSA}), Time()
    async with verifying(issuer, time) as tokens:
        await tokens.verify(token(RSA, kid="1"))
        time.now += COOLDOWN_S
        for header in ({"alg": "HS256", "kid": "2"}, {"alg": "none", "kid": "2"}, {"alg": "RS256", "kid": {}}):
            with pytest.raises(TokenError):
                await tokens.verify(forged(header, secret=PUBLIC_PEM))
    assert issuer.asked == [URL]


async def test_a_new_key_is_found_by_its_first_token() -> None:
    issuer, time = Issuer({"1": RSA}), Time()
    async with verifying(issuer, time) as tokens:
        await tokens.verify(token(RSA, kid="1"))
        issuer.published.append(public_jwk(EC, "2"))
        time.now += COOLDOWN_S
        assert (await tokens.verify(token(EC, kid="2"))).tenant_id == TENANT
        assert (await tokens.verify(token(RSA, kid="1"))).tenant_id == TENANT
    assert len(issuer.asked) == 2


async def test_a_key_that_is_taken_back_is_refused_after_the_next_fetch_though_its_token_was_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.http.jwks.RENEW_S", 0.01)
    issuer = Issuer({"1": RSA})
    async with verifying(issuer) as tokens:
        taken_back = token(RSA, kid="1")
        await tokens.verify(taken_back)
        issuer.published[:] = [public_jwk(EC, "2")]
        for _ in range(2):  # the second is asked when the first was taken in
            issuer.was_asked.clear()
            await issuer.was_asked.wait()
        with pytest.raises(TokenError, match="a key that is not known"):
            await tokens.verify(taken_back)


async def test_while_the_issuer_is_away_known_keys_go_on_for_so_long_and_no_longer() -> None:
    issuer, time = Issuer({"1": RSA}), Time()
    async with verifying(issuer, time) as tokens:
        good = token(RSA, kid="1")
        await tokens.verify(good)
        issuer.answer = AWAY
        time.now += KEPT_S
        assert (await tokens.verify(good)).tenant_id == TENANT
        with pytest.raises(KeysAwayError):  # a new key, perhaps
            await tokens.verify(token(EC, kid="2"))
        time.now += 1
        for known in (good, token(RSA)):
            with pytest.raises(KeysAwayError):
                await tokens.verify(known)
        issuer.answer = None
        time.now += COOLDOWN_S
        assert (await tokens.verify(good)).tenant_id == TENANT


async def test_known_keys_go_on_when_the_issuer_publishes_none() -> None:
    issuer, time = Issuer({"1": RSA}), Time()
    async with verifying(issuer, time) as tokens:
        good = token(RSA, kid="1")
        await tokens.verify(good)
        issuer.published.clear()
        time.now += COOLDOWN_S
        with pytest.raises(KeysAwayError):
            await tokens.verify(token(EC, kid="2"))
        assert (await tokens.verify(good)).tenant_id == TENANT
    assert len(issuer.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        AWAY,
        httpx2.ReadTimeout("too slow"),
        httpx2.Response(500),
        httpx2.Response(404, json={"keys": []}),
        httpx2.Response(302, headers={"Location": EVIL}),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, content=b"\xff"),
        httpx2.Response(200, content=gzip.compress(published()), headers={"Content-Encoding": "gzip"}),
        httpx2.Response(200, content=b"[" * 100_000),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"keys": {}}),
        httpx2.Response(200, json={"keys": []}),
        httpx2.Response(200, json={"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}]}),
        httpx2.Response(200, content=b'{"keys": [' + b" " * 300_000 + b"]}"),
    ],
    ids=range(14),
)
async def test_an_answer_that_is_no_key_set_is_an_issuer_that_is_away(answer: httpx2.Response | Exception) -> None:
    issuer = Issuer({"1": RSA})
    issuer.answer = answer
    async with verifying(issuer) as tokens:
        with pytest.raises(KeysAwayError):
            await tokens.verify(token(RSA, kid="1"))
    assert set(issuer.asked) == {URL}


async def test_an_issuer_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.http.jwks.FETCH_TIMEOUT_S", 0.01)
    asked = asyncio.Event()

    async def hang(_: httpx2.Request) -> httpx2.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    keys = JwksKeys(URL, transport=httpx2.MockTransport(hang))
    async with keys.open():
        await asked.wait()
        with pytest.raises(KeysAwayError):
            await keys.key_for(token(RSA, kid="1"))
        assert keys.generation is None


async def test_one_who_stops_waiting_for_the_keys_stops_nobody_else() -> None:
    go_on = asyncio.Event()
    issuer = Issuer({"1": RSA})

    async def late(_: httpx2.Request) -> httpx2.Response:
        await go_on.wait()
        return httpx2.Response(200, json={"keys": issuer.published})

    keys = JwksKeys(URL, transport=httpx2.MockTransport(late))
    async with keys.open():
        first, second = (asyncio.create_task(keys.key_for(token(RSA, kid="1"))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        assert (await second).algorithm == "RS256"


async def test_it_is_ready_when_it_has_keys() -> None:
    issuer, time = Issuer({"1": RSA}), Time()
    published = issuer.published.copy()
    issuer.published.clear()
    keys = JwksKeys(URL, transport=issuer.transport, monotonic=time)
    (check,) = keys.readiness.values()
    async with keys.open():
        with pytest.raises(KeysAwayError):
            await keys.key_for(token(RSA, kid="1"))
        with pytest.raises(KeysAwayError):
            await check()
        issuer.published.extend(published)
        time.now += COOLDOWN_S
        await keys.key_for(token(RSA, kid="1"))
        await check()


GOOD: dict[str, Any] = public_jwk(RSA, "1")


@pytest.mark.parametrize(
    "member",
    [
        None,
        "key",
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "1"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "kid": "1"},
        GOOD | {"n": "!"},
        GOOD | {"n": 7},
        GOOD | {"kid": 7},
        GOOD | {"use": "enc"},
        GOOD | {"key_ops": ["encrypt"]},
        GOOD | {"key_ops": "verify"},
        GOOD | {"alg": "RS512"},
        GOOD | {"alg": "HS256"},
        GOOD | {"alg": "ES256"},
        GOOD | {"crv": "P-256"},
        public_jwk(ED, "1") | {"crv": "X25519"},
        RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"key_ops": ["verify"]},
        RSAAlgorithm.to_jwk(generate_rsa_key(public_exponent=65537, key_size=1024).public_key(), as_dict=True),
        ECAlgorithm.to_jwk(generate_ec_key(SECP384R1()).public_key(), as_dict=True),
    ],
    ids=range(20),
)
def test_a_key_that_cannot_sign_tokens_is_passed_over(member: object) -> None:
    found = keys_of(published(member, public_jwk(EC, "good")))
    assert [(key.kid, key.algorithm) for key in found] == [("good", "ES256")]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"7", b'"keys"', b"{}", b'{"keys": null}', b'{"keys": []}', b"\xed\xa0\x80"]
)
def test_what_is_no_key_set_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(KeySetError):
        keys_of(body)
