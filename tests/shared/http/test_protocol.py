"""What comes over the socket before there is a request: it has an end, and what is no request is told so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
import uvicorn
from uvicorn.server import ServerState

from shared.http.problems import Problem
from shared.http.protocol import HEAD_MAX_BYTES, HttpProtocol
from tests.shared.http.apps import create

HOST = b"Host: test\r\n"

Ask = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Sends bytes, and gives the head and the body of the answer."""


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    config = uvicorn.Config(create(), http=HttpProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()

        async def ask(sent: bytes) -> tuple[bytes, bytes]:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(sent)
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                is_head = sent.startswith(b"HEAD")
                return head, b"" if is_head else await reader.readexactly(int(length.partition(b":")[2]))
            finally:
                writer.close()
                await writer.wait_closed()

        yield ask


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
