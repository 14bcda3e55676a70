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


async def publish_raw(url: str, exchange: str, routing_key: bytes, body: bytes, values: dict[str, Property]) -> None:
    """Log in by `url`, publish one message and wait for its confirm."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 5672)
    received = bytearray()

    async def answer(expected: str) -> None:
        while True:
            try:
                size, _, got = frame.unmarshal(bytes(received))
            except UnmarshalingException:
                data = await asyncio.wait_for(reader.read(65_536), 10)
                assert data, "the broker closed the connection"
                received.extend(data)
            else:
                del received[:size]
                assert got.name == expected, got
                return

    def send(kind: int, channel: int, payload: bytes) -> None:
        writer.write(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def call(channel: int, method: Frame) -> None:
        send(1, channel, struct.pack(">I", method.index) + method.marshal())

    login = f"\0{unquote(parts.username or 'guest')}\0{unquote(parts.password or 'guest')}"
    writer.write(header.ProtocolHeader().marshal())
    await answer("Connection.Start")
    call(0, commands.Connection.StartOk(client_properties={}, mechanism="PLAIN", response=login, locale="en_US"))
    await answer("Connection.Tune")
    call(0, commands.Connection.TuneOk(channel_max=1, frame_max=131_072, heartbeat=0))
    call(0, commands.Connection.Open(virtual_host=unquote(parts.path.removeprefix("/"))))
    await answer("Connection.OpenOk")
    call(1, commands.Channel.Open())
    await answer("Channel.OpenOk")
    call(1, commands.Confirm.Select())
    await answer("Confirm.SelectOk")
    send(1, 1, struct.pack(">HHH", 60, 40, 0) + short(exchange.encode()) + short(routing_key) + b"\0")
    send(2, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties(values))
    send(3, 1, body)
    await answer("Basic.Ack")
    writer.close()
    await writer.wait_closed()
