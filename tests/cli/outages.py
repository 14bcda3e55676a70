"""A way to a server that can be cut: what a program sees of a server that goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Way:
    """A TCP port that leads to the server of `url` while it is open."""

    def __init__(self, url: str, default_port: int) -> None:
        parts = urlsplit(url)
        self._target = (str(parts.hostname), parts.port or default_port)
        self._login = parts.netloc.rpartition("@")[0]
        self._parts = parts
        self._port = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL of the server by this way."""
        return urlunsplit(self._parts._replace(netloc=f"{self._login}@127.0.0.1:{self._port}"))

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            there, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                back.transport.abort()
        finally:
            writer.transport.abort()
            self._pipes.discard(task)


@asynccontextmanager
async def open_way(url: str, default_port: int) -> AsyncIterator[Way]:
    """An open way to the server of `url`, until the block ends."""
    way = Way(url, default_port)
    await way.open()
    try:
        yield way
    finally:
        await way.cut()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and its end."""
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
