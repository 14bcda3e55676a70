"""Refuses a request body that is too large: at once where its length is told, else when it gets too long."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.problems import ProblemError, answer_problem

BODY_MAX_BYTES = 1024 * 1024


class BodyLimit:
    """ASGI middleware; a body longer than `max_bytes` is a 413."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on while its body is small enough."""
        length = _length(scope) if scope["type"] == "http" else 0
        if length == 0:
            await self._app(scope, receive, send)
            return
        if length is not None and length > self._max_bytes:
            answer = answer_problem(self._too_large())
            await answer(scope, receive, send)
            return
        left = self._max_bytes

        async def receive_so_much() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_large()
            return message

        await self._app(scope, receive_so_much, send)

    def _too_large(self) -> ProblemError:
        return ProblemError(413, f"The body may have {self._max_bytes} bytes at most.")


def _length(scope: Scope) -> int | None:
    """The length of the body in bytes; None when it comes in chunks, of which nobody knows how many."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the server has seen to it that it is a number
        if name == b"transfer-encoding":
            return None
    return 0
