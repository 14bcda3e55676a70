"""Answers of any length: sent piece by piece while the next piece is made, so that memory stays the same."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from shared.http.methods import wants_no_body
from shared.logs import get_logger
from shared.service_database import DATABASE_FAILURES

GZIP_LEVEL = 1
"""Of a CSV file of readings, 6 takes 2.7 times as long and makes it a seventh smaller."""

GZIP_FORMAT = zlib.MAX_WBITS + 16

PATIENCE_S = 120.0
"""For so long a client may take to a piece: some 1.5 MB, so 13 kB/s. Who takes longer holds a place for nothing."""

ABORT = "mbus.abort"
"""In a request's `extensions` where the server can close its connection at once (`shared/http/protocol.py`)."""

log = get_logger(__name__)


class ClientStalledError(Exception):
    """The client is there, and does not take what it is sent."""


class StreamedAnswer(StreamingResponse):
    """What `pieces` yields, one after the other; the first is made before anything is sent, so that it may refuse.

    One piece is made ahead while the client takes the one before, and no more: a client that is slow slows what makes
    them; one that takes nothing for `PATIENCE_S` is given up. That, and a failure after the first, breaks the
    connection, by which a client knows that something is missing.

    `pieces` is closed when the answer ends, whatever ends it. With `gzip` each piece is compressed as it comes.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str], gzip: bool
    ) -> None:
        encoded = {"Content-Encoding": "gzip"} if gzip else {}
        super().__init__(pieces, headers={**headers, **encoded, "Vary": "Accept-Encoding"}, media_type=media_type)
        self._pieces = pieces
        self._gzip = gzip

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces):
            first = await anext(self._pieces, b"")
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not wants_no_body(scope):
                try:
                    await self._send_pieces(first, send)
                except ClientStalledError as error:
                    _tell_broken(error)
                    # Closed in the usual way it would stay until the client has taken what is on its way.
                    scope.get("extensions", {}).get(ABORT, {}).get("abort", _nothing)()
                    return
                except DATABASE_FAILURES as error:
                    _tell_broken(error)
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_pieces(self, first: bytes, send: Send) -> None:
        async with aclosing(_one_ahead(first, self._pieces)) as pieces:
            async for piece in _compressed(pieces) if self._gzip else pieces:
                await self.send_piece(piece, send)

    async def send_piece(self, piece: bytes, send: Send) -> None:
        """Send it; raises `ClientStalledError`."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            raise ClientStalledError(f"the client took nothing for {PATIENCE_S:g} s") from None


def _nothing() -> None:
    """What is done where the server says nothing of how to close a connection at once."""


def _tell_broken(error: Exception) -> None:
    """Without an end to the answer, the server closes the connection."""
    log.warning("stream.broken", kind=type(error).__name__, error=str(error).partition("\n")[0])


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a request with this `Accept-Encoding` asks for gzip (RFC 9110, 12.5.3); without one it does not."""
    asked = {}
    for one in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        asked[name] = all(_weight(parameter) for parameter in parameters)
    return asked.get("gzip", asked.get("x-gzip", asked.get("*", False)))


def _weight(parameter: str) -> bool:
    """Whether it is no `q=0`."""
    name, _, value = parameter.partition("=")
    return name.strip() != "q" or bool(value.strip().strip("0."))


async def _one_ahead(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """`first` and the rest, of which each is under way while the one before is used."""

    async def following() -> bytes | None:
        return await anext(rest, None)

    piece: bytes | None = first
    while piece is not None:
        coming = asyncio.create_task(following())
        try:
            yield piece
            piece = await coming
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """As gzip, in a thread; what was sent can be unpacked up to where it ends."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_FORMAT)

    def packed(piece: bytes) -> bytes:
        return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)

    async for piece in pieces:
        yield await asyncio.to_thread(packed, piece)
    yield packer.flush()
