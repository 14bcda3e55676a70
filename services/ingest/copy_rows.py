"""Accepted readings as the bytes that COPY takes: PostgreSQL's binary format, packed row by row in one go.

The driver would encode value by value, which takes as long as all the rest that ingest does with a reading. The format
is described with COPY in PostgreSQL's manual ("Binary Format").
"""

from collections.abc import Iterable, Sequence
from struct import Struct

from services.ingest.verdicts import Accepted

COLUMNS = ("batch", "meter_installation_id", "timestamp", "value", "received_at", "rssi_dbm", "battery_level_pct")

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

# Before each column's value stands its length in bytes, which is -1 for NULL.
_UUID, _EIGHT, _SMALLINT, _NULL = 16, 8, 2, -1
_START = ">i16siqidiq"
_both = Struct(_START + "ihih").pack
_one = Struct(_START + "ihi").pack
_other = Struct(_START + "iih").pack
_none = Struct(_START + "ii").pack

# What each row begins with: the number of its columns, and the first of these, which is the same for a whole batch.
_beginning = Struct(">hiq").pack


def encode(batches: Iterable[tuple[int, Sequence[bytes]]]) -> bytes:
    """What COPY … FROM STDIN (FORMAT binary) takes for `COLUMNS`: batches, none empty, with their numbers and rows."""
    parts = [_HEADER]
    for number, rows in batches:
        beginning = _beginning(len(COLUMNS), _EIGHT, number)
        parts += (beginning, beginning.join(rows))
    return b"".join((*parts, _TRAILER))


def row(reading: Accepted) -> bytes:
    """A row without its batch. Rows that are sorted are in the order of the key."""
    start = (
        *(_UUID, reading.installation.packed_id, _EIGHT, reading.at),
        *(_EIGHT, reading.value, _EIGHT, reading.delivery.received),
    )
    rssi, battery = reading.rssi_dbm, reading.battery_level_pct
    if rssi is None:
        if battery is None:
            return _none(*start, _NULL, _NULL)
        return _other(*start, _NULL, _SMALLINT, battery)
    if battery is None:
        return _one(*start, _SMALLINT, rssi, _NULL)
    return _both(*start, _SMALLINT, rssi, _SMALLINT, battery)
