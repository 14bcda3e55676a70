"""What comes over the socket before there is a request: it has an end, and what is no request is told so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest
import uvicorn
from fastapi import Request
from uvicorn.server import ServerState

from shared.http.problems import Problem
from shared.http.protocol import HEAD_MAX_BYTES, HttpProtocol
from tests.shared.http.apps import create

HOST = b"Host: test\r\n"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

Ask = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Sends bytes, and gives the head and the body of the answer."""


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections to a service with a route that never answers and one that names the headers it got."""
    app = create()

    @app.get("/never")
    async def never() -> None:
        await asyncio.Event().wait()

    @app.post("/names")
    async def names(request: Request) -> list[str]:
        await request.body()
        return list(request.headers)

    config = uvicorn.Config(app, http=HttpProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    writers: list[asyncio.StreamWriter] = []
    async with await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(host, port)
            writers.append(writer)
            return reader, writer

        yield connect
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
def ask(connect: Connect) -> Ask:
    async def ask(sent: bytes) -> tuple[bytes, bytes]:
        reader, writer = await connect()
        writer.write(sent)
        return await answer(reader, with_body=not sent.startswith(b"HEAD"))

    return ask


async def answer(reader: asyncio.StreamReader, *, with_body: bool = True) -> tuple[bytes, bytes]:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
    (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(int(length.partition(b":")[2])) if with_body else b""


async def what_comes_until_it_is_closed(reader: asyncio.StreamReader) -> bytes:
    """Also by a reset, which a connection gets when it is closed before all was read."""
    came = b""
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            while part := await reader.read(1000):
                came += part
    return came


def is_problem(head: bytes, body: bytes, status: int) -> bool:
    problem = msgspec.json.decode(body, type=Problem)
    return (
        head.startswith(b"HTTP/1.1 %d " % status)
        and problem.status == status
        and b"content-type: application/problem+json\r\n" in head
        and b"nosniff" in head
    )


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"BREW /livez HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /livez?" + b"a" * 66_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /livez?" + b"a" * 10 * HEAD_MAX_BYTES, 431),
        (b"GET /livez HTTP/1.1\r\n" + b"A: " + b"a" * 10 * HEAD_MAX_BYTES, 431),
        (b"GET /livez HTTP/1.1\r\n" + b"A: a\r\n" * 2 * HEAD_MAX_BYTES, 431),
        (b"GET /%ff%00 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /livez/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405),
        (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 2000000\r\n\r\n" + b"a" * 2_000_000, 413),
    ],
    ids=range(15),
)
async def test_what_cannot_be_answered_is_a_problem(ask: Ask, sent: bytes, status: int) -> None:
    head, body = await ask(sent)
    assert is_problem(head, body, status), head


async def test_a_long_head_that_has_an_end_is_answered_and_a_body_is_no_part_of_it(ask: Ask) -> None:
    long = b"A: " + b"a" * (HEAD_MAX_BYTES - 1000) + b"\r\n"
    head, body = await ask(b"GET /livez HTTP/1.1\r\n" + HOST + long + b"\r\n")
    assert (head[:13], body) == (b"HTTP/1.1 200 ", b'{"status":"ok"}')
    size = 2 * HEAD_MAX_BYTES
    sized = b"Content-Length: %d\r\n\r\n" % size
    head, _ = await ask(b"GET /livez HTTP/1.1\r\n" + HOST + sized + b"a" * size)
    assert head.startswith(b"HTTP/1.1 200 ")


async def test_head_is_answered_as_get_without_a_body(ask: Ask) -> None:
    head, _ = await ask(b"HEAD /livez HTTP/1.1\r\n" + HOST + b"\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 15\r\n" in head


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"


@pytest.mark.parametrize("trailer", [b"A: a\r\n" * HEAD_MAX_BYTES, b"A: " + b"a" * 4 * HEAD_MAX_BYTES])
@pytest.mark.parametrize("is_answered", [True, False])
async def test_what_follows_a_body_has_an_end(connect: Connect, trailer: bytes, *, is_answered: bool) -> None:
    reader, writer = await connect()
    path = b"/livez" if is_answered else b"/names"
    writer.write(b"POST " + path + b" HTTP/1.1\r\n" + HOST + CHUNKED)
    if is_answered:  # before its end, because nothing reads the body
        assert is_problem(*await answer(reader), 405)
        writer.write(trailer)
        assert await what_comes_until_it_is_closed(reader) == b""
    else:
        writer.write(trailer)
        assert is_problem(*await answer(reader), 431)


async def test_what_follows_a_body_is_no_header(ask: Ask) -> None:
    _, body = await ask(b"POST /names HTTP/1.1\r\n" + HOST + CHUNKED + b"Authorization: Bearer a\r\n\r\n")
    assert body == b'["host","transfer-encoding"]'


async def test_many_small_chunks_are_a_body(ask: Ask) -> None:
    head = b"POST /names HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    sent, _ = await ask(head + b"1;of=one\r\na\r\n" * HEAD_MAX_BYTES + b"0\r\n\r\n")
    assert sent.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("second", [b"\0\r\n\r\n", b"GET /livez?" + b"a" * 4 * HEAD_MAX_BYTES])
async def test_a_second_request_that_is_refused_is_not_answered_in_place_of_the_first(
    connect: Connect, second: bytes
) -> None:
    reader, writer = await connect()
    writer.write(b"GET /never HTTP/1.1\r\n" + HOST + b"\r\n" + second)
    assert await what_comes_until_it_is_closed(reader) == b""


async def test_a_second_request_that_is_refused_is_told_so_when_the_first_was_answered(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await answer(reader))[0].startswith(b"HTTP/1.1 200 ")
    writer.write(b"\0\r\n\r\n")
    assert is_problem(*await answer(reader), 400)


async def test_a_body_that_is_none_is_refused_where_it_is_the_next_to_be_answered(connect: Connect) -> None:
    bad = b"POST /names HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nno length\r\n"
    reader, writer = await connect()
    writer.write(bad)
    assert is_problem(*await answer(reader), 400)
    reader, writer = await connect()
    writer.write(b"GET /never HTTP/1.1\r\n" + HOST + b"\r\n" + bad)
    assert await what_comes_until_it_is_closed(reader) == b""
