"""Stops the work for a client that has gone away, and with it the statement that the database would go on with."""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WATCHED_AFTER_S = 0.2
"""Most requests have been answered by then, and cost nothing but a timer."""

CLIENT_CLOSED_REQUEST = 499
"""What proxies call it. Nobody receives it; the metrics count it."""


NO_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}


class StopForDepartures:
    """ASGI middleware that cancels a request when its client disconnects before it was answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look from time to time whether somebody still waits for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send)
        await request.run(self._app)


class _Request:
    """A request while it runs: what stands between the server and the application."""

    __slots__ = (
        "_answered",
        "_body_ended",
        "_left",
        "_receive",
        "_scope",
        "_send",
        "_started",
        "_taken",
        "_task",
        "_timer",
        "_watch",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started = self._answered = self._left = False
        # No route reads what came as a body with GET, so that its end would never be seen: it is none, and dropped.
        self._body_ended = scope["method"] in {"GET", "HEAD"}
        self._taken: deque[Message] = deque([NO_BODY] if self._body_ended else [])
        self._watch: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task = task
        self._timer = task.get_loop().call_later(WATCHED_AFTER_S, self._look)
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self._left or task.uncancel():
                raise  # somebody else wants it to end
            if not self._started:
                await self._send({"type": "http.response.start", "status": CLIENT_CLOSED_REQUEST, "headers": []})
                await self._send({"type": "http.response.body"})
        finally:
            self._timer.cancel()
            if self._watch is not None:
                self._watch.cancel()

    async def receive(self) -> Message:
        if self._taken:
            return self._taken.popleft()
        if self._watch is None and not self._body_ended:
            message = await self._receive()
            self._body_ended = not message.get("more_body", False)
            return message
        await asyncio.shield(self._watching())
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
        elif not message.get("more_body", False):
            # After the answer the server tells of a disconnect that is none.
            self._answered = True
        await self._send(message)

    def _look(self) -> None:
        if self._body_ended or not _has_body(self._scope):
            self._watch = self._watching()
        else:
            # The body is the application's to read, and tells it of a disconnect.
            self._timer = self._task.get_loop().call_later(WATCHED_AFTER_S, self._look)

    def _watching(self) -> asyncio.Task[None]:
        if self._watch is None:
            self._watch = self._task.get_loop().create_task(self._wait_for_disconnect())
        return self._watch

    async def _wait_for_disconnect(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            if not self._body_ended:
                self._taken.append(message)
                self._body_ended = not message.get("more_body", False)
        if not self._answered:
            self._left = True
            self._task.cancel()


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
