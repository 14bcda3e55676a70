"""Accepted readings as the bytes that COPY takes: PostgreSQL's binary format, packed row by row in one go.

The driver would encode value by value, which takes as long as all the rest that ingest does with a reading. The format
is described with COPY in PostgreSQL's manual ("Binary Format").
"""

from collections.abc import Iterable
from struct import Struct

from services.ingest.verdicts import Accepted

COLUMNS = ("meter_installation_id", "timestamp", "value", "received_at", "rssi_dbm", "battery_level_pct")

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

# The number of columns, and before each column's value its length in bytes, which is -1 for NULL.
_UUID, _EIGHT, _SMALLINT, _NULL = 16, 8, 2, -1
_START = ">hi16siqidiq"
_both = Struct(_START + "ihih").pack
_one = Struct(_START + "ihi").pack
_other = Struct(_START + "iih").pack
_none = Struct(_START + "ii").pack


def encode(readings: Iterable[Accepted]) -> bytes:
    """What COPY … FROM STDIN (FORMAT binary) takes for `COLUMNS`, in the order of the key.

    So two writers at once on the same keys wait for each other instead of deadlocking, and the index is filled from
    one end to the other.
    """
    return b"".join((_HEADER, *sorted(map(_row, readings)), _TRAILER))


def _row(reading: Accepted) -> bytes:
    start = (
        *(len(COLUMNS), _UUID, reading.installation.packed_id, _EIGHT, reading.at),
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
