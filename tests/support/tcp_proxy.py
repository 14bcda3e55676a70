"""A way to a server that can break, or freeze: then connections stay, and nothing comes through any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class TcpProxy:
    """A TCP port that leads to the server of a URL; `url` is the same by this way."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pipes: set[asyncio.Task[None]] = set()
        self.url = ""

    def freeze(self) -> None:
        """Pass nothing on, and close nothing."""
        self._flowing.clear()

    async def break_connections(self) -> None:
        """End every connection; new ones are let through."""
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["TcpProxy"]:
        """Let connections through until the block ends."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        login = self._parts.netloc.rpartition("@")[0]
        port = server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        try:
            yield self
        finally:
            server.close()
            await self.break_connections()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        except asyncio.CancelledError:
            # The server's own callback takes a cancelled connection for an error.
            pass
        finally:
            back.transport.abort()
            writer.transport.abort()
            self._pipes.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
            writer.close()
