"""What one record says about one meter installation, or everything that is wrong with it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from shared.models import Medium, UnitOfMeasure
from shared.registry import cells
from shared.registry.media import FITTING
from shared.registry.problems import WHOLE_FILE, Place, Problem, shorten
from shared.registry.records import Record
from shared.units import unit_of_field, units_like


@dataclass(frozen=True, slots=True)
class Row:
    """An installation with its place in the world, as its record says it.

    `said` are the columns that the record has. For the optional ones None means nothing: the installation has no
    gateway; a column that was not said leaves what is registered.
    """

    place: Place
    said: frozenset[str]
    tenant: str
    property: str
    address: str
    unit: str
    meter_serial: str
    medium: Medium
    unit_of_measure: UnitOfMeasure
    installed_at: datetime | date
    tenant_name: str | None = None
    gateway_id: str | None = None
    value_field: str | None = None
    installation_id: UUID | None = None
    deleted_at: datetime | date | None = None
    replaces_serial: str | None = None
    billing_start_month: int | None = None
    expected_interval: timedelta | None = None
    time_zone: str | None = None


REQUIRED: dict[str, Callable[[str], Any]] = {
    "tenant": cells.slug,
    "property": cells.text,
    "address": cells.text,
    "unit": cells.text,
    "meter_serial": cells.meter_serial,
    "medium": partial(cells.one_of, Medium),
    "unit_of_measure": partial(cells.one_of, UnitOfMeasure),
    "installed_at": cells.moment,
}
OPTIONAL: dict[str, Callable[[str], Any]] = {
    "gateway_id": cells.gateway_id,
    "tenant_name": cells.text,
    "value_field": cells.field_name,
    "installation_id": cells.uuid,
    "deleted_at": cells.moment,
    "replaces_serial": cells.meter_serial,
    "billing_start_month": cells.month,
    "expected_interval": cells.interval,
    "time_zone": cells.time_zone,
}
COLUMNS = REQUIRED | OPTIONAL


def read_rows(records: Sequence[Record]) -> tuple[list[Row], list[Problem]]:
    """The rows of the records that are right, and the problems of the others.

    There are no rows where a column is missing or unknown: what the file means is not known then.
    """
    if not records:
        return [], [Problem(WHOLE_FILE, None, None, "holds no installations")]
    where: dict[str, Place] = {}
    for record in records:
        for column in record.cells.keys() - where.keys():
            where[column] = record.header or record.place
    missing = [column for column in REQUIRED if column not in where] if where else []
    columns = _wrong_columns(where, missing, records[0].header or WHOLE_FILE)
    rows, problems = [], []
    for record in records:
        read = read_row(record)
        if isinstance(read, Row):
            rows.append(read)
        else:
            problems += [problem for problem in read if problem.column not in missing]
    return [] if columns else rows, columns + problems


def _wrong_columns(where: Mapping[str, Place], missing: Iterable[str], top: Place) -> list[Problem]:
    """Columns that no record has or that nobody knows: said once, not on every line."""
    known = ", ".join(COLUMNS)
    return [Problem(top, None, None, f"the column {column} is missing") for column in missing] + [
        Problem(place, None, None, f"the column {shorten(column)} is unknown; known are {known}")
        for column, place in where.items()
        if column not in COLUMNS
    ]


def read_row(record: Record) -> Row | list[Problem]:
    """The row that a record makes, or all that is wrong in it. Columns that are not known are not looked at."""
    if record.wrong is not None:
        return [Problem(record.place, None, None, record.wrong)]
    values: dict[str, Any] = {}
    problems = []
    for column, read in COLUMNS.items():
        cell = record.cells.get(column)
        try:
            said = _as_text(column, cell)
            if said:
                values[column] = read(said)
            elif column in REQUIRED:
                raise ValueError("must be given")  # noqa: TRY301 - one way out for everything wrong with a cell
        except ValueError as error:
            problems.append(Problem(record.place, column, cell, str(error)))
    problems += _what_does_not_fit(record, values)
    return problems or Row(place=record.place, said=frozenset(record.cells), **values)


def _what_does_not_fit(record: Record, values: Mapping[str, Any]) -> list[Problem]:
    """A unit of measure that the medium is not counted in, and a field that is in no unit that converts to it."""
    medium, unit, field = values.get("medium"), values.get("unit_of_measure"), values.get("value_field")
    problems = []
    if medium and unit and unit not in FITTING[medium]:
        fitting = ", ".join(FITTING[medium])
        problems.append(
            Problem(record.place, "unit_of_measure", str(unit), f"does not fit {medium}, which has {fitting}")
        )
    field_unit = unit_of_field(field) if field else None
    if unit and field_unit and field_unit not in units_like(unit):
        problems.append(Problem(record.place, "value_field", field, f"is in {field_unit}, which is never {unit}"))
    return problems


def _as_text(column: str, cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.strip()
    if column == "billing_start_month" and type(cell) is int:
        return str(cell)
    raise ValueError("must be a string")
