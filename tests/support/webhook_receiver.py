"""A receiver of webhooks as a customer has one: it verifies signatures with the specification's own library."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.responses import Response

from tests.support.messages import eventually

Answering = Callable[["Received"], int | Response]


@dataclass(frozen=True)
class Received:
    """A request whose signature was good. `message_id` is the header `webhook-id`."""

    path: str
    message_id: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent."""
        event = json.loads(self.body)
        assert isinstance(event, dict)
        return event

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it tells: the events of a digest, else its only one."""
        return list(self.event["data"]["events"]) if self.event["type"] == "alerts.digest" else [self.event]


@dataclass
class Receiver:
    """Answers 204, or what `answer` says; `held` keeps it from answering while it is not set."""

    url: str
    secrets: Sequence[str]
    answer: Answering = field(default=lambda _: 204)
    received: list[Received] = field(default_factory=list)
    """Each attempt, in the order in which they came."""
    at_once: int = 0
    most_at_once: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.held.set()

    @property
    def types(self) -> list[str]:
        """Of the events of all attempts."""
        return [one.event["type"] for one in self.received]

    async def wait_for(self, count: int, *, timeout_s: float = 20) -> list[Received]:
        """The attempts, as soon as there are so many."""

        async def enough() -> bool:
            return len(self.received) >= count

        await eventually(enough, timeout_s=timeout_s)
        return self.received

    async def take(self, request: Request) -> Response:
        """Answer one request. A bad signature is an error, which no customer of ours is to see."""
        body = await request.body()
        for secret in self.secrets:
            Webhook(secret).verify(body, dict(request.headers))
        received = Received(request.url.path, request.headers["webhook-id"], body)
        self.received.append(received)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.held.wait()
        finally:
            self.at_once -= 1
        answer = self.answer(received)
        return Response(status_code=answer) if isinstance(answer, int) else answer


@asynccontextmanager
async def receiving(*secrets: str) -> AsyncIterator[Receiver]:
    """A receiver on a port of its own, which wants a good signature by each of `secrets`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await receiver.take(Request(scope, receive)))(scope, receive, send)

    config = uvicorn.Config(app, host="127.0.0.1", port=0, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    receiver = Receiver("", secrets)
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` takes the test's signals

    async def started() -> bool:
        return server.started

    await eventually(started)
    port = server.servers[0].sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{port}/alerts"
    try:
        yield receiver
    finally:
        receiver.held.set()
        server.should_exit = True
        await serving
