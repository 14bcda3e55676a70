"""An issuer of tokens with keys of its own: what it publishes, how often it was asked, and what it signs."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

RSA = generate_rsa_key(public_exponent=65537, key_size=2048)
EC = generate_ec_key(SECP256R1())
ED = Ed25519PrivateKey.generate()


def algorithm_of(key: PrivateKey) -> str:
    match key:
        case RSAPrivateKey():
            return "RS256"
        case EllipticCurvePrivateKey():
            return "ES256"
        case Ed25519PrivateKey():
            return "EdDSA"


def public_jwk(key: PrivateKey, kid: str | None) -> dict[str, Any]:
    return _public_jwk(key) | ({} if kid is None else {"kid": kid})


def _public_jwk(key: PrivateKey) -> dict[str, Any]:
    match key:
        case RSAPrivateKey():
            return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case EllipticCurvePrivateKey():
            return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case Ed25519PrivateKey():
            return OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)


class Issuer:
    """Answers `GET /keys` with `published`, or as a test says by setting `answer`."""

    def __init__(self, keys: Mapping[str, PrivateKey]) -> None:
        self.published = [public_jwk(key, kid) for kid, key in keys.items()]
        self.answer: httpx2.Response | Exception | None = None
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url))
        self.was_asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx2.Response(200, content=json.dumps({"keys": self.published}))


def signed_by(key: PrivateKey, claims: Mapping[str, object], header: Mapping[str, object]) -> str:
    return jwt.encode(dict(claims), key, algorithm=algorithm_of(key), headers=dict(header))
