"""Reads what passes between ingest and its servers as the protocols' messages, and names the moments in a commit."""

import struct
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from typing_extensions import override


class Moment(Enum):
    """A point on the way from a message to its acknowledgement; a message of a protocol is about to be passed on."""

    BEFORE_COPY = auto()
    IN_COPY = auto()
    """Half of the rows have been passed on."""
    AFTER_COPY = auto()
    BEFORE_MERGE = auto()
    BEFORE_COMMIT = auto()
    AFTER_COMMIT = auto()
    """The database has committed, and ingest does not know it yet."""
    BEFORE_EVENT = auto()
    BEFORE_DEAD_LETTER = auto()
    AFTER_PUBLISH = auto()
    """The broker has taken an event or a dead letter, and ingest does not know it yet."""
    BEFORE_ACK = auto()


class Wire(Protocol):
    """What passes in one connection: takes bytes as they come, gives back whole messages with their moments."""

    def to_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        """The messages to the server that are complete with `data`."""

    def from_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        """The messages from the server that are complete with `data`."""


class PostgresWire(Wire):
    """PostgreSQL's protocol, version 3, without TLS."""

    def __init__(self) -> None:
        self._sent = bytearray()
        self._received = bytearray()
        self._greeted = False
        self._copied = False
        self._merges = False

    @override
    def to_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        self._sent += data
        while True:
            # The first message has no type.
            message = _cut(self._sent, head=5 if self._greeted else 4, size_at=1 if self._greeted else 0)
            if message is None:
                return
            yield message, self._moment_of_request(message) if self._greeted else None
            self._greeted = True

    @override
    def from_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        self._received += data
        while (message := _cut(self._received, head=5, size_at=1)) is not None:
            yield message, self._moment_of_answer(message)

    def _moment_of_request(self, message: bytes) -> Moment | None:
        statement = message if message[:1] in b"QP" else b""
        if b"COPY " in statement:
            return Moment.BEFORE_COPY
        if message[:1] == b"d":
            return Moment.IN_COPY
        if self._copied and b"COMMIT" in statement:
            return Moment.BEFORE_COMMIT
        if self._copied and not self._merges:
            self._merges = True
            return Moment.BEFORE_MERGE
        return None

    def _moment_of_answer(self, message: bytes) -> Moment | None:
        done = message[5:] if message[:1] == b"C" else b""
        if done.startswith(b"COPY "):
            self._copied, self._merges = True, False
            return Moment.AFTER_COPY
        if self._copied and done.startswith((b"COMMIT", b"ROLLBACK")):
            self._copied = False
            return Moment.AFTER_COMMIT if done.startswith(b"COMMIT") else None
        return None


class AmqpWire(Wire):
    """AMQP 0.9.1 without TLS."""

    def __init__(self) -> None:
        self._sent = bytearray()
        self._received = bytearray()
        self._greeted = False

    @override
    def to_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        self._sent += data
        if not self._greeted:
            if len(self._sent) < len(PROTOCOL_HEADER):
                return
            self._greeted = True
            yield bytes(self._sent[: len(PROTOCOL_HEADER)]), None
            del self._sent[: len(PROTOCOL_HEADER)]
        while (frame := _cut(self._sent, head=7, size_at=3, beyond=8)) is not None:
            yield frame, _moment_of_frame(frame, from_broker=False)

    @override
    def from_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        self._received += data
        while (frame := _cut(self._received, head=7, size_at=3, beyond=8)) is not None:
            yield frame, _moment_of_frame(frame, from_broker=True)


PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"
METHOD = 1
BASIC_PUBLISH = (60, 40)
BASIC_ACK = (60, 80)


def _moment_of_frame(frame: bytes, *, from_broker: bool) -> Moment | None:
    if frame[0] != METHOD:
        return None
    method = struct.unpack_from(">HH", frame, 7)
    if method == BASIC_ACK:
        return Moment.AFTER_PUBLISH if from_broker else Moment.BEFORE_ACK
    if method == BASIC_PUBLISH:
        exchange = frame[14 : 14 + frame[13]]
        return {b"events": Moment.BEFORE_EVENT, b"dead-letters": Moment.BEFORE_DEAD_LETTER}.get(exchange)
    return None


def _cut(waiting: bytearray, *, head: int, size_at: int, beyond: int | None = None) -> bytes | None:
    """Take a whole message off `waiting`; `beyond` is what its size does not count."""
    if len(waiting) < head:
        return None
    (size,) = struct.unpack_from(">I", waiting, size_at)
    length = size + (size_at if beyond is None else beyond)
    if len(waiting) < length:
        return None
    message = bytes(waiting[:length])
    del waiting[:length]
    return message
