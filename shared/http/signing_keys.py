"""The public keys that tokens are signed with, as an issuer publishes them (JWK Set, RFC 7517), and which one fits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHMS = ("RS256", "ES256", "EdDSA")
RSA_MIN_BITS = 2048

_ALGORITHM_OF = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""By `kty` and `crv`."""


class KeySetError(ValueError):
    """What the issuer published is no JWK Set, or none of use."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, and the one algorithm that tokens may be signed with by it: by its type, never by what a token says."""

    kid: str | None
    algorithm: str
    key: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | str


def keys_of(published: bytes) -> list[SigningKey]:
    """The keys of a JWK Set that may sign tokens, at least one; others are passed over. Raises `KeySetError`."""
    try:
        document = json.loads(published)
    except (ValueError, RecursionError):
        raise KeySetError("is not JSON") from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeySetError("is not a JWK Set")
    keys = [key for key in map(_signing_key, members) if key is not None]
    if not keys:
        raise KeySetError("has no key that may sign tokens")
    return keys


def fitting(keys: Sequence[SigningKey], *, kid: str | None, algorithm: object) -> SigningKey | None:
    """The key for a token with this header; without a `kid` only when it is the one key of its algorithm."""
    found = [key for key in keys if key.algorithm == algorithm and kid in {key.kid, None}]
    return found[0] if len(found) == 1 else None


def _signing_key(member: object) -> SigningKey | None:
    if not isinstance(member, dict) or not _is_for_signatures(member):
        return None
    kid, kind, curve = member.get("kid"), member.get("kty"), member.get("crv")
    algorithm = _ALGORITHM_OF.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    if algorithm is None or member.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
        return None
    try:
        key = jwt.PyJWK(member, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_MIN_BITS:
        return None
    # A private key is none that an issuer publishes: whoever reads it could sign.
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return None
    return SigningKey(kid, algorithm, key)


def _is_for_signatures(member: dict[str, Any]) -> bool:
    operations = member.get("key_ops", ["verify"])
    return member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
