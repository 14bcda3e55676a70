"""Accepted readings as the bytes that COPY takes: PostgreSQL's binary format, packed row by row in one go.

The driver would encode value by value, which takes as long as all the rest that ingest does with a reading. The format
is described with COPY in PostgreSQL's manual ("Binary Format").
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from struct import Struct

from services.ingest.verdicts import Accepted

COLUMNS = ("batch", "meter_installation_id", "timestamp", "value", "received_at", "rssi_dbm", "battery_level_pct")

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

# Before each column's value stands its length in bytes, which is -1 for NULL.
_UUID, _EIGHT, _SMALLINT, _NULL = 16, 8, 2, -1
_main = Struct(">i16siqidiq").pack
_smallint = Struct(">ih").pack
_null = Struct(">i").pack(_NULL)

# What each row begins with: the number of its columns, and the first of these, which is the same for a whole batch.
_beginning = Struct(">hiq").pack


def encode(batches: Iterable[tuple[int, Sequence[bytes]]]) -> Iterator[bytes]:
    """What COPY … FROM STDIN (FORMAT binary) takes for `COLUMNS`: batches, none empty, with their numbers and rows."""
    yield _HEADER
    for number, rows in batches:
        beginning = _beginning(len(COLUMNS), _EIGHT, number)
        yield beginning.join((b"", *rows))
    yield _TRAILER


def row(reading: Accepted) -> bytes:
    """A row without its batch. Rows that are sorted are in the order of the key."""
    of, received = reading.installation.packed_id, reading.delivery.received
    main = _main(_UUID, of, _EIGHT, reading.at, _EIGHT, reading.value, _EIGHT, received)
    return main + _end(reading.rssi_dbm, reading.battery_level_pct)


@cache
def _end(rssi_dbm: int | None, battery_level_pct: int | None) -> bytes:
    # Both are small numbers (services/ingest/verdicts.py): there are some 25,000 ends of a row, and most are never met.
    return b"".join(_null if value is None else _smallint(_SMALLINT, value) for value in (rssi_dbm, battery_level_pct))
