"""`/unsubscribe/{token}`: where the links of mails lead. It serves people and mail programs, and is in no document."""

import math
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse

from services.alerts.mail.unsubscribe import subscription_of
from services.alerts.mail.unsubscribe_pages import UnsubscribePages
from services.alerts.operations.unsubscribing import MailSubscription, mail_subscription, unsubscribe
from shared.clock import Clock
from shared.http.problems import ProblemError
from shared.http.rate_limit import RateLimit
from shared.models import Language
from shared.service_database import ServiceDatabase

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    # The address of the page is all that it takes to unsubscribe.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}

Token = Annotated[str, Path(description="Of a mail's link.")]


def unsubscribe_router(
    database: ServiceDatabase, *, key: bytes, pages: UnsubscribePages, limit: RateLimit, clock: Clock
) -> APIRouter:
    """The page and the click. Neither takes a bearer token: the token in the link, signed with `key`, is the login.

    What is not signed costs an HMAC and no look into the database. `limit` is of each subscription.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/unsubscribe/{token}", description="No bearer token: the signed token of the link says who may.")
    async def ask_to_unsubscribe(token: Token) -> HTMLResponse:
        """It changes nothing: programs that look for harm in mails follow links."""
        subscription_id = _signed(token)
        found = None if subscription_id is None else await mail_subscription(database.engine, subscription_id)
        if found is None:
            return _page(pages.unknown, status_code=404)
        return _page(pages.ask(*_of(found)) if found.enabled else pages.ended(*_of(found)))

    @router.post("/unsubscribe/{token}", description="No bearer token: the signed token of the link says who may.")
    async def unsubscribe_by_click(token: Token) -> HTMLResponse:
        """The page's button, and RFC 8058's one click, which must not be answered by a redirect.

        The body, `List-Unsubscribe=One-Click` in either form that HTML knows, is not looked at: a POST says it all.
        """
        subscription_id = _signed(token)
        found = None if subscription_id is None else await unsubscribe(database.engine, subscription_id, now=clock())
        return _page(pages.unknown, status_code=404) if found is None else _page(pages.ended(*_of(found)))

    def _signed(token: str) -> UUID | None:
        subscription_id = subscription_of(key, token)
        if subscription_id is not None and (wait_s := limit.take(subscription_id)):
            retry_after = {"Retry-After": str(math.ceil(wait_s))}
            raise ProblemError(429, "Too many requests by this link at once. Try again.", headers=retry_after)
        return subscription_id

    return router


def _of(found: MailSubscription) -> tuple[Language, str, str]:
    return found.language, found.tenant_name, found.name


def _page(html: str, *, status_code: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status_code=status_code, headers=HEADERS)
