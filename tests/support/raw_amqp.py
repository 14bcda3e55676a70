"""Publishes messages whose properties no AMQP library would write, byte by byte."""

import asyncio
import struct
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame, header
from pamqp.base import Frame
from pamqp.exceptions import UnmarshalingException

Property = int | bytes
"""A number for `delivery_mode`, `priority` and `timestamp`, bytes for all others; `headers` is the table's content."""

OCTETS = {"delivery_mode", "priority"}


def properties(values: dict[str, Property]) -> bytes:
    """The flags and values of a content header."""
    flags, written = 0, b""
    for name, bit in commands.Basic.Properties.flags.items():
        match values.get(name):
            case None:
                continue
            case int(number):
                written += struct.pack(">B" if name in OCTETS else ">Q", number)
            case bytes(text):
                written += (struct.pack(">I", len(text)) + text) if name == "headers" else short(text)
        flags |= bit
    return struct.pack(">H", flags) + written


def short(text: bytes) -> bytes:
    """A short string."""
    return bytes([len(text)]) + text


def long(text: bytes) -> bytes:
    """A long string, as the value of a header."""
    return b"S" + struct.pack(">I", len(text)) + text


def time(number: int) -> bytes:
    """A timestamp, as the value of a header."""
    return b"T" + struct.pack(">Q", number)


def arrays(depth: int) -> bytes:
    """An array in an array in an array, as the value of a header."""
    return b"".join(b"A" + struct.pack(">I", 5 * (depth - level - 1)) for level in range(depth))


class RefusedError(Exception):
    """The broker itself would not have the message."""


async def publish_raw(url: str, exchange: str, routing_key: bytes, body: bytes, values: dict[str, Property]) -> None:
    """Log in by `url`, publish one message and wait for its confirm. Raises `RefusedError`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 5672)
    try:
        session = _Session(reader, writer)
        login = f"\0{unquote(parts.username or 'guest')}\0{unquote(parts.password or 'guest')}"
        await session.open(login, vhost=unquote(parts.path.removeprefix("/")))
        publish = struct.pack(">HHH", 60, 40, 0) + short(exchange.encode()) + short(routing_key) + b"\0"
        session.send(1, 1, publish)
        session.send(2, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties(values))
        session.send(3, 1, body)
        await session.answer("Basic.Ack")
    finally:
        writer.close()
        await writer.wait_closed()


class _Session:
    """A connection with one channel, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = bytearray()

    async def open(self, login: str, *, vhost: str) -> None:
        """Log in and open channel 1 with confirms."""
        self._writer.write(header.ProtocolHeader().marshal())
        await self.answer("Connection.Start")
        self._call(0, commands.Connection.StartOk(client_properties={}, mechanism="PLAIN", response=login))
        await self.answer("Connection.Tune")
        self._call(0, commands.Connection.TuneOk(channel_max=1, frame_max=131_072, heartbeat=0))
        self._call(0, commands.Connection.Open(virtual_host=vhost))
        await self.answer("Connection.OpenOk")
        self._call(1, commands.Channel.Open())
        await self.answer("Channel.OpenOk")
        self._call(1, commands.Confirm.Select())
        await self.answer("Confirm.SelectOk")

    async def answer(self, expected: str) -> None:
        """Wait for the broker's next frame, which is `expected`."""
        while True:
            try:
                size, _, got = frame.unmarshal(bytes(self._received))
            except UnmarshalingException:
                data = await asyncio.wait_for(self._reader.read(65_536), 10)
                assert data, "the broker closed the connection"
                self._received.extend(data)
            else:
                del self._received[:size]
                if got.name in {"Channel.Close", "Connection.Close"}:
                    raise RefusedError(getattr(got, "reply_text", ""))
                assert got.name == expected, got
                return

    def send(self, kind: int, channel: int, payload: bytes) -> None:
        """Write a frame."""
        self._writer.write(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def _call(self, channel: int, method: Frame) -> None:
        self.send(1, channel, struct.pack(">I", method.index) + method.marshal())
