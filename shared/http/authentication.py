"""Who calls: the FastAPI dependency that every secured route has, which decides whether a caller comes in."""

import math
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from shared.http.parameters import DeclaredParameters
from shared.http.problems import RETRY_AFTER_S, ProblemError
from shared.http.rate_limit import RateLimit
from shared.http.token_verifier import TokenVerifier
from shared.http.tokens import Caller, KeysAwayError, TokenError

Authenticate = Callable[..., Awaitable[Caller]]


def caller_with(scope: str, tokens: TokenVerifier, limit: RateLimit) -> Authenticate:
    """A dependency that is the request's caller.

    401 without a good token; 429 when its tenant asks too much, so that a stranger cannot use up a tenant's share; 403
    when the token lacks `scope`; 422 for query parameters that the route does not have.
    """
    return _CallerWithScope(scope, tokens, limit)


class _CallerWithScope(SecurityBase):
    """One dependency and not FastAPI's scheme with another one upon it: each costs as much as the whole check."""

    def __init__(self, scope: str, tokens: TokenVerifier, limit: RateLimit) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description=f"A token with scope `{scope}`.")
        self.scheme_name = "bearer"
        self._scope = scope
        self._tokens = tokens
        self._limit = limit
        self._parameters = DeclaredParameters()

    async def __call__(self, request: Request) -> Caller:
        """The caller, or a `ProblemError`."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _refusal(401, "A bearer token is required.", "Bearer")
        caller = await self._verified(token)
        wait_s = self._limit.take(caller.tenant_id)
        if wait_s:
            retry_after = {"Retry-After": str(math.ceil(wait_s))}
            raise ProblemError(429, "Too many requests of this tenant at once. Try again.", headers=retry_after)
        if self._scope not in caller.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{self._scope}"'
            raise _refusal(403, f"The token lacks the scope {self._scope}.", challenge)
        self._parameters.check(request)
        return caller

    async def _verified(self, token: str) -> Caller:
        try:
            return await self._tokens.verify(token)
        except TokenError as error:
            raise _refusal(401, f"The token is refused: {error}.", 'Bearer error="invalid_token"') from error
        except KeysAwayError as error:
            retry_after = {"Retry-After": str(RETRY_AFTER_S)}
            raise ProblemError(
                503, "The keys of the tokens' issuer cannot be fetched. Try again.", headers=retry_after
            ) from error


def _refusal(status: int, detail: str, challenge: str) -> ProblemError:
    return ProblemError(status, detail, headers={"WWW-Authenticate": challenge})
