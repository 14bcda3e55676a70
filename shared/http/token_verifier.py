"""Tells a good token from any other: by its key, its signature and its claims."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from types import MappingProxyType
from typing import NamedTuple, Protocol

import jwt

from shared.clock import Clock
from shared.http.health import Check
from shared.http.signing_keys import SigningKey
from shared.http.tokens import Caller, Claims, TokenError, claims_of

TOKEN_MAX_CHARACTERS = 8192
REMEMBERED_MAX = 1024


class Keys(Protocol):
    """Where the keys come from that tokens are signed with; `open()` goes around all use."""

    @property
    def readiness(self) -> Mapping[str, Check]:
        """The checks of whether there are keys, by name."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Keep the keys fresh while it lasts."""

    @property
    def generation(self) -> int | None:
        """Another number whenever the keys changed; None while there are none that may be trusted."""

    async def key_for(self, token: str) -> SigningKey:
        """The key that `token` must be signed by; raises `TokenError`, or `KeysAwayError`."""


class SharedSecret:
    """A secret that the issuer and the services have in common (HS256)."""

    generation = 0
    readiness: Mapping[str, Check] = MappingProxyType({})

    def __init__(self, secret: str) -> None:
        self._key = SigningKey(kid=None, algorithm="HS256", key=secret)

    async def key_for(self, token: str) -> SigningKey:
        """The secret, whatever the token says of itself."""
        del token
        return self._key

    def open(self) -> AbstractAsyncContextManager[None]:
        """Nothing is to be done for it."""
        return nullcontext()


class _Remembered(NamedTuple):
    claims: Claims
    generation: int


class TokenVerifier:
    """Verifies tokens for `audience` (and from `issuer`, where one is set); `clock` says what time it is.

    A good token is remembered until it expires or the keys change, since its signature is what costs most. It is
    looked up by its whole text.
    """

    def __init__(self, keys: Keys, *, audience: str, issuer: str | None, clock: Clock) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}

    async def verify(self, token: str) -> Caller:
        """The caller that `token` speaks for; raises `TokenError`, and `KeysAwayError` while there are no keys."""
        remembered = self._remembered.get(token)
        if remembered is not None and remembered.generation == self._keys.generation:
            return remembered.claims.caller_at(self._clock())
        if len(token) > TOKEN_MAX_CHARACTERS or not token.isascii():
            raise TokenError("the token cannot be read")
        key = await self._keys.key_for(token)
        generation = self._keys.generation
        claims = self._claims(token, key)
        caller = claims.caller_at(self._clock())
        if generation is not None:
            self._remember(token, _Remembered(claims, generation))
        return caller

    def _claims(self, token: str, key: SigningKey) -> Claims:
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "aud", "sub", "tenant_id"],
                    # Looked at by the clock that was passed in.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise TokenError(_reason(error)) from error
        return claims_of(claims)

    def _remember(self, token: str, verified: _Remembered) -> None:
        self._remembered.pop(token, None)
        while len(self._remembered) >= REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]  # the one that was remembered first
        self._remembered[token] = verified


def _reason(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.MissingRequiredClaimError():
            return f"the token has no {error.claim}"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is from another issuer"
        case jwt.InvalidSignatureError() | jwt.InvalidAlgorithmError():
            return "the token's signature is not good"
        case _:
            return "the token cannot be read"
