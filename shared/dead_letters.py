"""What of a message goes into its dead letter: all that the broker is sure to take again."""

import math
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pamqp import decode, encode
from pamqp.common import FieldTable

from shared.transmission import Transmission

REASON_HEADER = "x-mbus-reason"
"""Why a message is a dead letter."""

EXCHANGE_HEADER = "x-mbus-exchange"
"""To which exchange it was published; its routing key is that of the dead letter."""

MOST_REASON_CHARACTERS = 1_000
MOST_HEADER_BYTES = 32 * 1024
"""All headers of a message must fit into one frame, 128 KiB as a rule, together with the reason."""

LONGEST_HEADER_NAME = 128

NOT_THE_SENDERS = frozenset({"CC", "BCC", "x-delivery-count"})
"""The first two would send the dead letter elsewhere, or have it refused; the last is a count of this delivery."""


def headers_of(
    headers: Mapping[str, Any], *, reason: str, exchange: str, transmission: Transmission | None = None
) -> FieldTable:
    """Those of a dead letter: the simple ones among `headers`, and why, from where and of when it is."""
    kept = simple_headers(headers)
    kept[REASON_HEADER] = reason[:MOST_REASON_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    kept[EXCHANGE_HEADER] = exchange
    return kept if transmission is None else {**kept, **transmission.headers()}


def simple_headers(headers: Mapping[str, Any]) -> FieldTable:
    """The simple ones among `headers` that arrive as they are sent, as far as there is room."""
    kept: FieldTable = {}
    room = MOST_HEADER_BYTES
    for name, value in headers.items():
        size = _size_sent(name, value)
        if size is not None and size <= room and name not in NOT_THE_SENDERS:
            kept[name] = value
            room -= size
    return kept


def _size_sent(name: str, value: Any) -> int | None:
    """How many bytes a header takes; None when it is not simple or would arrive as something else."""
    if len(name.encode()) > LONGEST_HEADER_NAME or not isinstance(value, str | int | float | datetime | None):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None  # RabbitMQ closes the connection
    try:
        sent = encode.encode_table_value(value)
        _, received = decode.embedded_value(sent)
    except (TypeError, ValueError, ArithmeticError, struct.error):
        return None
    return 1 + len(name.encode()) + len(sent) if received == value else None
