"""The orders in which installations are listed, and what comes after a position in each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.query.queries.conditions import Conditions

AT = "({}::timestamptz, {}::uuid)"
NEVER_SEEN, SEEN = "s.last_reading_at IS NULL", "s.last_reading_at IS NOT NULL"


class InstallationSort(StrEnum):
    """What a list of installations is sorted by."""

    LONGEST_SILENT = "longest_silent"
    LATEST_READING = "latest_reading"
    METER_SERIAL = "meter_serial"


@dataclass(frozen=True, slots=True)
class Order:
    """An order that an index has; a position in it is a tuple of type `position`, of the columns `columns`."""

    by: str
    columns: tuple[str, ...]
    position: Any


ORDERS = {
    InstallationSort.LONGEST_SILENT: Order(
        "last_reading_at NULLS FIRST, installation_id",
        ("last_reading_at", "installation_id"),
        tuple[datetime | None, UUID],
    ),
    # The same index backwards.
    InstallationSort.LATEST_READING: Order(
        "last_reading_at DESC NULLS LAST, installation_id DESC",
        ("last_reading_at", "installation_id"),
        tuple[datetime | None, UUID],
    ),
    # Unique among those that are listed, the undeleted ones of a tenant.
    InstallationSort.METER_SERIAL: Order("meter_serial", ("meter_serial",), tuple[str]),
}


def stretches_after(
    conditions: Conditions, sort: InstallationSort, position: tuple[Any, ...] | None
) -> list[Conditions]:
    """What comes after `position`, in order: each stretch is one range of the index, which an OR would not be.

    Those that were never seen lie at one end of the index and are a range of their own.
    """
    if position is None:
        return [conditions]
    match sort:
        case InstallationSort.METER_SERIAL:
            return [conditions.also("i.meter_serial > {}", *position)]
        case InstallationSort.LONGEST_SILENT if position[0] is None:
            others = conditions.also_of_status(f"{NEVER_SEEN} AND s.installation_id > {{}}", position[1])
            return [others, conditions.also_of_status(SEEN)]
        case InstallationSort.LONGEST_SILENT:
            return [conditions.also_of_status(f"(s.last_reading_at, s.installation_id) > {AT}", *position)]
        case InstallationSort.LATEST_READING if position[0] is None:
            return [conditions.also_of_status(f"{NEVER_SEEN} AND s.installation_id < {{}}", position[1])]
        case InstallationSort.LATEST_READING:
            others = conditions.also_of_status(f"(s.last_reading_at, s.installation_id) < {AT}", *position)
            return [others, conditions.also_of_status(NEVER_SEEN)]
