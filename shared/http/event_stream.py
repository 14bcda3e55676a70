"""Server-sent events: their text, and an answer of them that has no end of its own but ends when the service does.

The format is the HTML standard's (9.2). FastAPI's `fastapi.sse` has it too, but answers 200 before anything is known to
go well, keeps a client that takes nothing for ever, and goes on while the service stops.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType

from starlette.types import Send
from typing_extensions import override

from shared.http.streams import ClientStalledError, StreamedAnswer

EVENT_STREAM = "text/event-stream"

STOP_PATIENCE_S = 1.0
"""For so long a client may take to its last piece when the service stops."""

HEADERS: Mapping[str, str] = MappingProxyType({"X-Accel-Buffering": "no"})
"""nginx would keep events back until it has some more."""


def event(kind: str, data: str, *, place: str) -> str:
    """An event of one line of data; `place` is what a client says to go on behind it."""
    return f"id: {place}\nevent: {kind}\ndata: {data}\n\n"


def comment(text: str) -> str:
    """What clients pass over, and by which they and what stands between see that the stream is alive."""
    return f": {text}\n\n"


def place_reached(place: str) -> str:
    """From where to go on, without an event: a client notes it, and tells nobody."""
    return f"id: {place}\n\n"


def reconnect_after(milliseconds: int) -> str:
    """How long a client waits before it connects anew."""
    return f"retry: {milliseconds}\n\n"


class EventStream(StreamedAnswer):
    """What `pieces` yields, until it ends; once `stopping` is set a client that takes nothing is given up soon."""

    def __init__(self, pieces: AsyncGenerator[bytes], *, stopping: asyncio.Event) -> None:
        super().__init__(pieces, media_type=EVENT_STREAM, headers=HEADERS, gzip=False)
        self._stopping = stopping

    @override
    async def send_piece(self, piece: bytes, send: Send) -> None:
        sending = asyncio.create_task(super().send_piece(piece, send))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({sending, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await asyncio.wait({sending}, timeout=STOP_PATIENCE_S)
            if not sending.done():
                raise ClientStalledError("the client took nothing when the service stopped")
            await sending
        finally:
            for task in (sending, stop):
                task.cancel()
            await asyncio.gather(sending, stop, return_exceptions=True)
