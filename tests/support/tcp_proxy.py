"""A way to a server that can break, or freeze: then connections stay, and nothing comes through any more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.support.wire import Moment, Wire

DEFAULT_PORTS = {"postgresql": 5432, "amqp": 5672, "http": 15672}
"""Where the server of a URL without a port listens; of HTTP, RabbitMQ's management."""

Messages = Iterator[tuple[bytes, Moment | None]]

Trap = Callable[[Moment | None, bytes], bool]
"""Sees each message before it is passed on. True cuts its connection there and then."""


class TcpProxy:
    """A TCP port that leads to the server of a URL; `url` is the same by this way.

    With a `wire` it passes on whole messages of that protocol, and shows each to the `trap` first.
    """

    def __init__(self, url: str, wire: Callable[[], Wire] | None = None) -> None:
        self._parts = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._wire = wire
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pipes: set[asyncio.Task[None]] = set()
        self.trap: Trap | None = None
        self.url = ""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pipes)

    def freeze(self) -> None:
        """Pass nothing on, and close nothing."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what waits, and what comes."""
        self._flowing.set()

    def forget(self) -> None:
        """Pass nothing on by the connections that are there, and close none; new ones work."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def break_connections(self) -> None:
        """End every connection; new ones are let through."""
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def cut(self) -> None:
        """End every connection and refuse new ones, until `restore`."""
        if self._server is not None:
            self._server.close()
        await self.break_connections()

    async def restore(self) -> None:
        """Let connections through, on the port of before."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["TcpProxy"]:
        """Let connections through until the block ends."""
        await self.restore()
        login = self._parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{self._port}"))
        try:
            yield self
        finally:
            await self.cut()

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = asyncio.create_task(self._pipe(reader, writer))
        self._pipes.add(pipe)

        def close(_: asyncio.Task[None]) -> None:
            # In a callback, because a pipe that is cancelled before its first step runs no line of its own.
            self._pipes.discard(pipe)
            writer.transport.abort()

        pipe.add_done_callback(close)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, _CutError):  # the server may be away
            there, back = await asyncio.open_connection(
                self._parts.hostname, self._parts.port or DEFAULT_PORTS[self._parts.scheme]
            )
            wire = self._wire() if self._wire else None
            pumps = [
                asyncio.create_task(self._pump(reader, back, wire.to_server if wire else _as_it_comes)),
                asyncio.create_task(self._pump(there, writer, wire.from_server if wire else _as_it_comes)),
            ]
            try:
                await asyncio.gather(*pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                back.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, messages: Callable[[bytes], Messages]
    ) -> None:
        flowing = self._flowing
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                for message, moment in messages(data):
                    if self.trap is not None:
                        self._spring(moment, message, writer)
                    await flowing.wait()
                    writer.write(message)
                await writer.drain()
        await flowing.wait()
        writer.close()

    def _spring(self, moment: Moment | None, message: bytes, writer: asyncio.StreamWriter) -> None:
        assert self.trap is not None
        if self.trap(moment, message):
            if moment is Moment.IN_COPY:
                writer.write(message[: len(message) // 2])
            raise _CutError


class _CutError(Exception):
    """The trap wants the connection to end."""


def _as_it_comes(data: bytes) -> Messages:
    yield data, None
