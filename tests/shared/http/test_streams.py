"""Answers that are sent piece by piece: one ahead, whole or visibly broken, packed where it is asked for."""

import asyncio
import zlib
from collections.abc import AsyncGenerator

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Message

from shared.http.problems import ProblemError
from shared.http.streams import StreamedAnswer, accepts_gzip
from shared.service_database import DatabaseAwayError
from tests.shared.http.apps import client_of, create

PIECES = [b"first,", b"second,", b"third"]


class Source:
    """Makes pieces, and remembers how many and whether it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces
        self.made = 0
        self.is_closed = False

    async def pieces(self) -> AsyncGenerator[bytes]:
        try:
            for piece in self._pieces:
                if isinstance(piece, Exception):
                    raise piece
                await asyncio.sleep(0)
                self.made += 1
                yield piece
        finally:
            self.is_closed = True


def create_with(source: Source, *, gzip: bool = False) -> FastAPI:
    app = create()

    @app.get("/stream")
    async def stream() -> StreamedAnswer:
        return StreamedAnswer(source.pieces(), media_type="text/plain", headers={"X-Name": "value"}, gzip=gzip)

    return app


async def messages_of(app: FastAPI, *, taken: int = 100, method: str = "GET") -> list[Message]:
    """What the application sends to a client that takes so many messages, and then no more for a while, and goes."""
    sent: list[Message] = []
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if len(sent) == taken:
            for _ in range(20):
                await asyncio.sleep(0)
            left.set()
            await asyncio.Event().wait()
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/stream",
        "raw_path": b"/stream",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
    }
    await app(scope, receive, send)
    return sent


def is_whole(messages: list[Message]) -> bool:
    return not messages[-1].get("more_body", False)


async def test_it_sends_every_piece_and_ends() -> None:
    source = Source(*PIECES)
    sent = await messages_of(create_with(source))
    assert [message["body"] for message in sent[1:]] == [*PIECES, b""]
    assert is_whole(sent)
    assert source.is_closed
    async with client_of(create_with(Source(*PIECES))) as client:
        answer = await client.get("/stream")
    assert (answer.content, answer.headers["x-name"]) == (b"".join(PIECES), "value")
    assert (answer.headers["vary"], "content-encoding" in answer.headers) == ("Accept-Encoding", False)
    assert "content-length" not in answer.headers


async def test_nothing_at_all_is_an_empty_answer() -> None:
    source = Source()
    async with client_of(create_with(source)) as client:
        assert ((await client.get("/stream")).status_code, source.is_closed) == (200, True)


async def test_one_piece_is_made_ahead_of_what_the_client_took_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.http.departures.WATCHED_AFTER_S", 0)
    source = Source(*[b"piece"] * 100)
    sent = await messages_of(create_with(source), taken=4)
    assert len(sent) == 4  # the head and three pieces; the fourth waits for the client, and the fifth is made
    assert source.made == 5
    assert source.is_closed
    assert not is_whole(sent)


async def test_what_goes_wrong_before_the_first_piece_is_a_problem() -> None:
    for error, status in ((ProblemError(429, "Later."), 429), (DatabaseAwayError(), 503)):
        source = Source(error)
        async with client_of(create_with(source)) as client:
            answer = await client.get("/stream")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert "x-name" not in answer.headers
        assert source.is_closed


@pytest.mark.parametrize("gzip", [False, True])
async def test_a_database_that_fails_later_leaves_the_answer_without_its_end(*, gzip: bool) -> None:
    source = Source(b"first", DatabaseAwayError())
    sent = await messages_of(create_with(source, gzip=gzip))
    assert sent[0]["status"] == 200
    assert not is_whole(sent)
    assert source.is_closed


async def test_a_client_that_is_there_and_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.http.departures.WATCHED_AFTER_S", 60)
    monkeypatch.setattr("shared.http.streams.PATIENCE_S", 0.05)
    source = Source(*[b"piece"] * 100)
    sent = await messages_of(create_with(source), taken=2)
    assert len(sent) == 2
    assert source.is_closed
    assert not is_whole(sent)


async def test_a_fault_later_is_raised_for_the_log() -> None:
    source = Source(b"first", LookupError("a fault"))
    with pytest.raises(LookupError, match="a fault"):
        await messages_of(create_with(source))
    assert source.is_closed


async def test_head_makes_the_first_piece_only_and_sends_none() -> None:
    source = Source(*[b"piece"] * 100)
    sent = await messages_of(create_with(source), method="HEAD")
    assert [message.get("body") for message in sent] == [None, b""]
    assert source.made == 1
    assert source.is_closed


async def test_gzip_packs_each_piece_so_that_it_can_be_unpacked_at_once() -> None:
    sent = await messages_of(create_with(Source(*PIECES), gzip=True))
    unpacker = zlib.decompressobj(zlib.MAX_WBITS + 16)
    unpacked = [unpacker.decompress(message["body"]) for message in sent[1:]]
    assert unpacked == [*PIECES, b"", b""]
    assert unpacker.eof
    async with client_of(create_with(Source(*PIECES), gzip=True)) as client:
        answer: httpx2.Response = await client.get("/stream")
    assert (answer.headers["content-encoding"], answer.content) == ("gzip", b"".join(PIECES))


@pytest.mark.parametrize(
    "accept_encoding",
    ["gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5", "br;q=1.0,gzip;q=0.001", "x-gzip", "*", "gzip, *;q=0"],
)
def test_gzip_is_asked_for(accept_encoding: str) -> None:
    assert accepts_gzip(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    ["", "identity", "br, deflate", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "gzipped", ",;,=", ";q=1"],
)
def test_gzip_is_not_asked_for(accept_encoding: str) -> None:
    assert not accepts_gzip(accept_encoding)
