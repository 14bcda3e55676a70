"""Who calls: the FastAPI dependency that reads the bearer token and checks its scope."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.http.problems import ProblemError
from shared.http.tokens import Caller, TokenError, TokenVerifier

Authenticate = Callable[..., Awaitable[Caller]]


def caller_with(scope: str, tokens: TokenVerifier) -> Authenticate:
    """A dependency that is the request's caller; 401 without a good token, 403 when the token lacks `scope`."""
    bearer = HTTPBearer(
        auto_error=False, scheme_name="bearer", bearerFormat="JWT", description=f"A token with scope `{scope}`."
    )

    async def caller(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Caller:
        if credentials is None:
            raise _refusal(401, "A bearer token is required.", "Bearer")
        try:
            found = tokens.verify(credentials.credentials)
        except TokenError as error:
            raise _refusal(401, f"The token is refused: {error}.", 'Bearer error="invalid_token"') from error
        if scope not in found.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise _refusal(403, f"The token lacks the scope {scope}.", challenge)
        return found

    return caller


def _refusal(status: int, detail: str, challenge: str) -> ProblemError:
    return ProblemError(status, detail, headers={"WWW-Authenticate": challenge})
