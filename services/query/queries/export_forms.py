"""How an export is written: the kinds of file, and what a line of each has."""

from dataclasses import dataclass

COLUMNS = (
    "meter_installation_id",
    "meter_serial",
    "medium",
    "unit_of_measure",
    "property_name",
    "unit_label",
    "timestamp",
    "value",
    "rssi_dbm",
    "battery_level_pct",
    "received_at",
)
"""What a line has, in this order: as shared/migrations/versions/0017_export.py writes it."""

BYTE_ORDER_MARK = "\ufeff"
"""By this, spreadsheets take a file for UTF-8."""


@dataclass(frozen=True, slots=True)
class Form:
    """How an export is written: what its function is called after, and what stands before its first line."""

    name: str
    media_type: str
    suffix: str
    begin: bytes


def _csv(name: str, separator: str) -> Form:
    header = f"{BYTE_ORDER_MARK}{separator.join(COLUMNS)}\r\n"
    return Form(name, "text/csv; charset=utf-8; header=present", "csv", header.encode())


CSV = _csv("csv", ",")
CSV_WITH_DECIMAL_COMMA = _csv("csv_with_decimal_comma", ";")
NDJSON = Form("ndjson", "application/x-ndjson", "ndjson", b"")
