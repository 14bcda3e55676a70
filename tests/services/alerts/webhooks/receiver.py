"""A customer's server on loopback, which answers each request byte by byte as it is told."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

CONTENT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Received:
    """A request, and the number of the connection that it came by, from 1."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader

    async def until_gone(self) -> None:
        """Wait until who sent it closes the connection."""
        await self.reader.read()


Script = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request. Where it closes the writer, the connection ends."""


def answering(answer: bytes) -> Script:
    """The same to everything."""

    async def answer_it(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return answer_it


def reset(writer: asyncio.StreamWriter) -> None:
    """Let a connection end by an RST when it is closed."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Receiver:
    """Listens on 127.0.0.1 (or `host`) while it is open, and keeps what it received."""

    def __init__(
        self, script: Script | None = None, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.script = script or answering(CONTENT)
        self.received: list[Received] = []
        self.connections = 0
        self.ended = asyncio.Event()
        """A connection has come to its end."""
        self.port = port
        self._tls = tls
        self._host = host
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def reset(self) -> None:
        """End every connection as a server that died: by an RST."""
        for writer in self._writers:
            reset(writer)
            writer.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Receiver"]:
        """Take connections until the block ends."""
        server = await asyncio.start_server(self._connected, self._host, self.port, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(self.connections, reader, writer))
        self._serving.add(task)
        self._writers.add(writer)

        def end(_: asyncio.Task[None]) -> None:
            self._serving.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()
            self.ended.set()

        task.add_done_callback(end)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
                body = await reader.readexactly(int(headers["content-length"]))
                received = Received(number, line, headers, body, reader)
                self.received.append(received)
                await self.script(received, writer)
