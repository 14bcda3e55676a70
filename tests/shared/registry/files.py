"""Registry files for tests: one good installation, and what a test changes in it."""

from collections.abc import Mapping

from shared.registry.problems import Place
from shared.registry.records import Record

GOOD: dict[str, object] = {
    "tenant": "acme",
    "property": "Nørregade 1",
    "address": "Nørregade 1, 8000 Aarhus C",
    "unit": "st. tv",
    "meter_serial": "00440145",
    "medium": "heat",
    "unit_of_measure": "kWh",
    "installed_at": "2024-01-01T00:00:00+01:00",
}


def record(number: int = 2, /, **changed: object) -> Record:
    """A good record with the cells in `changed`; a cell that is None is left out."""
    cells = {column: cell for column, cell in (GOOD | changed).items() if cell is not None}
    return Record(Place(number), cells)


def records(*changes: Mapping[str, object]) -> list[Record]:
    """Good records from line 2 on, each with its changes."""
    return [record(number, **changed) for number, changed in enumerate(changes, start=2)]
