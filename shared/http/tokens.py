"""Bearer tokens: JWTs that say who calls, for which tenant, and what they may do."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from shared.http.reach import Reach

SCOPES = ("readings:read", "alerts:read", "alerts:write")
SUBJECT_MAX_CHARACTERS = 255
LAST_SECOND = 253402300799
"""The end of the year 9999, which no token needs to see."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a good token speaks for."""

    subject: str
    tenant_id: UUID
    scopes: frozenset[str]
    property_ids: frozenset[UUID] | None = None
    """The properties to which the token narrows its holder; None where it does not."""
    expires_at: float = field(default=math.inf, compare=False)
    """When the token ends, in seconds since 1970. It says nothing of who calls: two tokens may speak for one."""

    @property
    def reach(self) -> Reach:
        """What the caller may see, whatever the scopes let it do there."""
        return Reach(self.tenant_id, self.property_ids)


class TokenError(Exception):
    """The token is not good. The text says why and may be shown to the caller."""


class KeysAwayError(Exception):
    """The issuer's keys cannot be had, so that nothing can be said of the token."""

    def __init__(self) -> None:
        super().__init__("the issuer's keys cannot be fetched")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of its holder, and from when until when (seconds since 1970)."""

    caller: Caller
    not_before: float
    expires_at: float

    def caller_at(self, now: datetime) -> Caller:
        """The caller, when the token is good at `now`; raises `TokenError`."""
        seconds = now.timestamp()
        if self.expires_at <= seconds:
            raise TokenError("the token has expired")
        if self.not_before > seconds:
            raise TokenError("the token is not valid yet")
        return self.caller


def claims_of(claims: dict[str, Any]) -> Claims:
    """The claims of a token whose signature is good, whatever they are; raises `TokenError`.

    `exp`, `sub` and `tenant_id` must be there. A token without `scope` has none.
    """
    of_holder = _subject(claims), _tenant_id(claims), _scopes(claims), _property_ids(claims)
    not_before, expires_at = _time(claims, "nbf") if "nbf" in claims else 0.0, _time(claims, "exp")
    return Claims(Caller(*of_holder, expires_at), not_before, expires_at)


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
    property_ids: Collection[UUID] | None = None,
) -> str:
    """A token (HS256) for `subject` of `tenant_id` until `now` + `lifetime`, perhaps only for some properties."""
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
    if property_ids is not None:
        claims["property_ids"] = [str(one) for one in property_ids]
    return jwt.encode(claims, secret, algorithm="HS256")


def _subject(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    # It will be logged and stored: no NUL, no line break, no half of a character.
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX_CHARACTERS or not subject.isprintable():
        raise TokenError(f"the token's sub is not 1 to {SUBJECT_MAX_CHARACTERS} printable characters")
    return subject


def _time(claims: dict[str, Any], name: str) -> float:
    seconds = claims[name]
    # A bool is an int to Python, and JSON as Python reads it has NaN, infinity and numbers of any length.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LAST_SECOND:
        raise TokenError(f"the token's {name} is not a time")
    return seconds


def _tenant_id(claims: dict[str, Any]) -> UUID:
    try:
        return UUID(claims["tenant_id"])
    except (ValueError, TypeError, AttributeError):
        raise TokenError("the token's tenant_id is not a UUID") from None


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise TokenError("the token's scope is not a string")
    return frozenset(scope.split())


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
