"""A request is stopped when its client goes away, and only then."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Body, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message

from shared.http.departures import StopForDepartures
from tests.shared.http.apps import client_of, create


@pytest.fixture(autouse=True)
def watched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.http.departures.WATCHED_AFTER_S", 0)


async def turns(number: int = 10) -> None:
    """Let every other task run so many times."""
    for _ in range(number):
        await asyncio.sleep(0)


class Client:
    """One end of a request to `app` as a server hands it on; the test says when the client goes away."""

    def __init__(self, app: FastAPI, path: str, *, body: list[Message] | None = None, method: str = "GET") -> None:
        self.sent: list[Message] = []
        self.received = 0
        self.left = asyncio.Event()
        self.answered = asyncio.Event()
        self._body: Iterator[Message] = iter(body or [{"type": "http.request", "body": b"", "more_body": False}])
        headers = [(b"transfer-encoding", b"chunked"), (b"content-type", b"application/json")] if body else []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    async def _receive(self) -> Message:
        self.received += 1
        message = next(self._body, None)
        if message is not None:
            return message
        over = [asyncio.create_task(one.wait()) for one in (self.left, self.answered)]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in over:
                one.cancel()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.answered.set()


class Work:
    """What a route does until it is stopped, or told that it is done."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.done = asyncio.Event()
        self.stopped = False

    async def do(self) -> None:
        self.started.set()
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.stopped = True
            raise


def create_with(work: Work) -> FastAPI:
    app = create()

    @app.get("/work")
    async def get_work() -> str:
        await work.do()
        return "done"

    @app.get("/late-body")
    @app.post("/late-body")
    async def late_body(request: Request) -> int:
        await work.do()
        return len(await request.body())

    @app.get("/listens")
    async def listens(request: Request) -> str:
        await work.do()
        await request.receive()
        return str((await request.receive())["type"])

    @app.post("/body")
    async def body(body: Annotated[dict[str, str], Body()]) -> int:
        await work.do()
        return len(body)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await work.do()
            yield b"last"

        return StreamingResponse(parts())

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(work.do)
        return "done"

    return app


async def test_a_request_whose_client_leaves_is_stopped_and_counted_as_such() -> None:
    work = Work()
    app = create_with(work)
    client = Client(app, "/work")
    await work.started.wait()
    await turns()
    assert not client.task.done()
    client.left.set()
    await client.task
    assert work.stopped
    assert (client.status, client.task.cancelling()) == (499, 0)
    async with client_of(app) as other:
        assert 'route="/work",status="499"} 1.0' in (await other.get("/metrics")).text


async def test_a_request_whose_client_waits_is_answered() -> None:
    work = Work()
    client = Client(create_with(work), "/work")
    await work.started.wait()
    await turns()
    work.done.set()
    await client.task
    assert (client.status, work.stopped) == (200, False)


async def test_a_stream_is_stopped_in_the_middle() -> None:
    work = Work()
    client = Client(create_with(work), "/stream")
    await work.started.wait()
    await turns()
    client.left.set()
    await client.task
    assert work.stopped
    assert [message.get("body") for message in client.sent] == [None, b"first"]


async def test_what_is_to_be_done_after_the_answer_is_done() -> None:
    work = Work()
    client = Client(create_with(work), "/background")
    await work.started.wait()
    assert client.answered.is_set()
    await turns()
    work.done.set()
    await client.task
    assert (client.status, work.stopped) == (200, False)


PARTS: list[Message] = [
    {"type": "http.request", "body": b'{"a":', "more_body": True},
    {"type": "http.request", "body": b'"b"}', "more_body": False},
]


async def test_a_body_comes_whole_and_a_client_that_leaves_after_it_is_noticed() -> None:
    for leaves in (False, True):
        work = Work()
        client = Client(create_with(work), "/body", body=PARTS, method="POST")
        await work.started.wait()
        await turns()
        (client.left if leaves else work.done).set()
        await client.task
        assert (client.status, work.stopped) == (499 if leaves else 200, leaves)


async def test_a_body_of_get_is_dropped_and_a_client_that_leaves_is_noticed() -> None:
    work = Work()
    client = Client(create_with(work), "/work", body=PARTS * 1000)
    await work.started.wait()
    while client.received <= 2 * 1000:
        await turns()
    assert not client.task.done()
    client.left.set()
    await client.task
    assert (client.status, work.stopped) == (499, True)


async def test_a_route_that_reads_the_body_of_get_finds_none() -> None:
    work = Work()
    work.done.set()
    client = Client(create_with(work), "/late-body", body=PARTS)
    await client.task
    assert client.sent[1]["body"] == b"0"


@pytest.mark.parametrize("body", [None, PARTS], ids=["none", "parts"])
async def test_a_body_that_is_read_late_is_not_lost(body: list[Message] | None) -> None:
    work = Work()
    client = Client(create_with(work), "/late-body", body=body, method="POST" if body else "GET")
    await work.started.wait()
    await turns()
    if body:
        assert client.received == 0  # it is not piled up for a route that does not read it
    work.done.set()
    await client.task
    assert client.status == 200
    assert client.sent[1]["body"] == (b"9" if body else b"0")


async def test_a_route_that_listens_itself_hears_of_no_departure_before_there_is_one() -> None:
    work = Work()
    client = Client(create_with(work), "/listens")
    await work.started.wait()
    await turns()
    work.done.set()
    await turns()
    assert client.sent == []
    client.left.set()
    await client.task
    assert client.status == 499


async def test_a_server_that_stops_a_request_is_not_taken_for_its_client() -> None:
    work = Work()
    client = Client(create_with(work), "/work")
    await work.started.wait()
    await turns()
    client.left.set()
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.task
    assert client.sent == []


async def test_what_is_no_request_passes_as_it_is() -> None:
    met: list[str] = []

    async def app(scope: object, _: object, __: object) -> None:
        assert isinstance(scope, dict)
        met.append(scope["type"])

    async def nothing() -> Message:
        return {}

    async def ignore(_: Message) -> None:
        pass

    await StopForDepartures(app)({"type": "lifespan"}, nothing, ignore)
    assert met == ["lifespan"]
