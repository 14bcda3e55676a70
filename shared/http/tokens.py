"""Bearer tokens: JWTs that say who calls, for which tenant, and what they may do."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
from pydantic import AfterValidator, Field, SecretStr

from shared.clock import Clock
from shared.http.reach import Reach
from shared.settings import Settings

ALGORITHM = "HS256"
SECRET_MIN_BYTES = 32
TOKEN_MAX_CHARACTERS = 8192
SCOPES = ("readings:read", "alerts:read", "alerts:write")


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SECRET_MIN_BYTES:
        raise ValueError(f"must be at least {SECRET_MIN_BYTES} bytes long")
    return secret


class TokenSettings(Settings):
    """`MBUS_JWT_…`: what signs the tokens, and whom they must be for and from."""

    jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(validation_alias="MBUS_JWT_SECRET")
    jwt_audience: str = Field(default="mbus", validation_alias="MBUS_JWT_AUDIENCE")
    jwt_issuer: str | None = Field(default=None, validation_alias="MBUS_JWT_ISSUER")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a good token speaks for."""

    subject: str
    tenant_id: UUID
    scopes: frozenset[str]
    property_ids: frozenset[UUID] | None = None
    """The properties to which the token narrows its holder; None where it does not."""

    @property
    def reach(self) -> Reach:
        """What the caller may see, whatever the scopes let it do there."""
        return Reach(self.tenant_id, self.property_ids)


class TokenError(Exception):
    """The token is not good. The text says why and may be shown to the caller."""


class TokenVerifier:
    """Tells a good token from any other; `clock` says what time it is for `exp` and `nbf`."""

    def __init__(self, *, secret: str, audience: str, issuer: str | None, clock: Clock) -> None:
        self._secret = secret
        self._audience = audience
        self._issuer = issuer
        self._clock = clock

    def verify(self, token: str) -> Caller:
        """The caller that `token` speaks for; raises `TokenError`."""
        if len(token) > TOKEN_MAX_CHARACTERS or not token.isascii():
            raise TokenError("the token cannot be read")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "aud", "sub", "tenant_id", "scope"],
                    # Looked at below, by the clock that was passed in.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise TokenError(_reason(error)) from error
        now = self._clock().timestamp()
        if _time(claims, "exp") <= now:
            raise TokenError("the token has expired")
        if "nbf" in claims and _time(claims, "nbf") > now:
            raise TokenError("the token is not valid yet")
        return Caller(claims["sub"], _tenant_id(claims), _scopes(claims), _property_ids(claims))


def issue_token(
    *,
    secret: str,
    audience: str,
    issuer: str | None,
    subject: str,
    tenant_id: UUID,
    scopes: Collection[str],
    now: datetime,
    lifetime: timedelta,
) -> str:
    """A token that `TokenVerifier` takes for `subject` of `tenant_id` until `now` + `lifetime`."""
    claims: dict[str, Any] = {
        "sub": subject,
        "tenant_id": str(tenant_id),
        "scope": " ".join(scopes),
        "aud": audience,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    if issuer is not None:
        claims["iss"] = issuer
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def _reason(error: jwt.InvalidTokenError) -> str:
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


def _time(claims: dict[str, Any], name: str) -> float:
    seconds = claims[name]
    # A bool is an int to Python, and JSON as Python reads it has infinite numbers.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise TokenError(f"the token's {name} is not a time")
    return seconds


def _tenant_id(claims: dict[str, Any]) -> UUID:
    try:
        return UUID(claims["tenant_id"])
    except (ValueError, TypeError, AttributeError):
        raise TokenError("the token's tenant_id is not a UUID") from None


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    if not isinstance(claims["scope"], str):
        raise TokenError("the token's scope is not a string")
    return frozenset(claims["scope"].split())


def _property_ids(claims: dict[str, Any]) -> frozenset[UUID] | None:
    if "property_ids" not in claims:
        return None
    ids = claims["property_ids"]
    # Never "as if it were not there": that would widen what the token allows.
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise TokenError("the token's property_ids is not a list of UUIDs")
    try:
        return frozenset(map(UUID, ids))
    except ValueError:
        raise TokenError("the token's property_ids is not a list of UUIDs") from None
