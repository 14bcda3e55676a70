"""Who calls: the FastAPI dependency that every secured route has, which decides whether a caller comes in."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.http.parameters import DeclaredParameters
from shared.http.problems import ProblemError
from shared.http.tokens import Caller, TokenError, TokenVerifier

Authenticate = Callable[..., Awaitable[Caller]]


def caller_with(scope: str, tokens: TokenVerifier) -> Authenticate:
    """A dependency that is the request's caller; 401 without a good token, 403 when the token lacks `scope`.

    A caller who may come in hears next of query parameters that the route does not have: 422.
    """
    parameters = DeclaredParameters()
    bearer = HTTPBearer(
        auto_error=False, scheme_name="bearer", bearerFormat="JWT", description=f"A token with scope `{scope}`."
    )

    async def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        if credentials is None:
            raise _refusal(401, "A bearer token is required.", "Bearer")
        try:
            found = tokens.verify(credentials.credentials)
        except TokenError as error:
            raise _refusal(401, f"The token is refused: {error}.", 'Bearer error="invalid_token"') from error
        if scope not in found.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise _refusal(403, f"The token lacks the scope {scope}.", challenge)
        parameters.check(request)
        return found

    return caller


def _refusal(status: int, detail: str, challenge: str) -> ProblemError:
    return ProblemError(status, detail, headers={"WWW-Authenticate": challenge})
