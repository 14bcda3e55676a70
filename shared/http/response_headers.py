"""Headers that every answer has: what it is taken for, and that nobody keeps it."""

from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_HEADERS = MappingProxyType({"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})
"""No browser guesses another type, and no cache keeps what only the holder of a token may see."""

_SAFE = [(name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()]


class SafeHeaders:
    """ASGI middleware that adds `SAFE_HEADERS` where a route did not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the headers of its answer."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                present = {name for name, _ in headers}
                message["headers"] = [*headers, *(safe for safe in _SAFE if safe[0] not in present)]
            await send(message)

        await self._app(scope, receive, send_safely if scope["type"] == "http" else send)
