"""Methods: `HEAD` wherever there is `GET`, and what a path has where it has not what was asked."""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

NO_BODY = "mbus.no_body"


class HeadAsGet:
    """ASGI middleware: `HEAD` is answered as `GET` is, and the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the server keeps its own scope, by which it knows that no body is wanted."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", NO_BODY: True}
        await self._app(scope, receive, send)


def wants_no_body(scope: Scope) -> bool:
    """Whether `HEAD` was asked, for what would be long in the making."""
    return NO_BODY in scope


def allowed_methods(request: Request) -> str:
    """What `Allow` says for the request's path: the methods of all its routes, where the framework names one's."""
    allowed: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            allowed.update(route.methods or ())
    if "GET" in allowed:
        allowed.add("HEAD")
    return ", ".join(sorted(allowed))
