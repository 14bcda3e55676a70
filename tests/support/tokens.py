"""Tokens of callers, for tests of what is behind them."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from shared.clock import utc_now
from shared.http.tokens import issue_token

SECRET = "a secret of the tests, long enough"


class Headers(Protocol):
    """Makes the headers of a caller of a tenant, who may do all that the service is for unless the test says less."""

    def __call__(
        self,
        tenant_id: UUID,
        *,
        scope: str = ...,
        subject: str = "tests",
        lifetime: timedelta = timedelta(minutes=5),
        property_ids: list[UUID] | None = None,
    ) -> dict[str, str]: ...


def headers_with(usual_scope: str) -> Headers:
    """What makes the headers of callers who may do `usual_scope` unless the test says otherwise."""

    def headers_of(
        tenant_id: UUID,
        *,
        scope: str = usual_scope,
        subject: str = "tests",
        lifetime: timedelta = timedelta(minutes=5),
        property_ids: list[UUID] | None = None,
    ) -> dict[str, str]:
        token = issue_token(
            secret=SECRET,
            audience="mbus",
            issuer=None,
            subject=subject,
            tenant_id=tenant_id,
            scopes=scope.split(),
            now=utc_now(),
            lifetime=lifetime,
            property_ids=property_ids,
        )
        return {"Authorization": f"Bearer {token}"}

    return headers_of
