"""Lets the AMQP library read whatever a sender put into a message's properties; what it cannot read is left out.

pamqp raises on properties that every sender may set and every broker passes on: a time beyond the year 9999 (such as
one in microseconds), text that is not UTF-8. The error ends the connection, the broker delivers the message again,
and one message stops its consumer for ever. A delivery mode that is neither 1 nor 2 makes aio-pika raise before any
handler is called, and the message is neither acknowledged nor returned.
"""

from datetime import datetime

from pamqp import decode
from pamqp.base import BasicProperties
from pamqp.commands import Basic
from pamqp.common import FieldTable


def tolerate_odd_messages() -> None:
    """Replace pamqp's decoders of what a sender writes, for this process; calling it again changes nothing.

    This is the one thing that is global: pamqp has no other place for it (docs/architecture/decisions, 0008).
    """
    decode.METHODS |= {"shortstr": _short_text, "table": _table, "timestamp": _time}
    decode.TABLE_MAPPING[b"T"] = _time
    Basic.Properties.unmarshal = _unmarshal  # type: ignore[assignment, method-assign] # pamqp offers no other way


def _short_text(data: bytes) -> tuple[int, str]:
    """Text as it is, or with a `?` for each byte that is not ASCII: a routing key must not grow beyond 255 bytes."""
    try:
        return decode.short_str(data)
    except UnicodeDecodeError:
        end = 1 + data[0]
        return end, data[1:end].decode("ascii", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")


def _time(data: bytes) -> tuple[int, datetime | None]:
    try:
        return decode.timestamp(data)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _table(data: bytes) -> tuple[int, FieldTable]:
    """The headers, or none of them when one has a name that is no text, an unknown type or a bottomless nesting."""
    try:
        return decode.field_table(data)
    except (ValueError, ArithmeticError, IndexError, RecursionError):
        return 4 + int.from_bytes(data[:4]), {}


def _unmarshal(properties: Basic.Properties, flags: int, data: bytes) -> None:
    BasicProperties.unmarshal(properties, flags, data)
    if properties.delivery_mode not in (None, 1, 2):
        properties.delivery_mode = None
