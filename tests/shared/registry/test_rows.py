"""One record becomes a row, or everything that is wrong with it."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from shared.models import Medium, UnitOfMeasure
from shared.registry.records import read_records
from shared.registry.rows import COLUMNS, Row, read_row, read_rows
from tests.shared.registry.files import GOOD, record, records

ID = UUID("7f6c0000-0000-4000-8000-000000000001")


def problems_of(**changed: object) -> list[str]:
    read = read_row(record(**changed))
    assert isinstance(read, list)
    return [str(problem) for problem in read]


def row_of(**changed: object) -> Row:
    read = read_row(record(**changed))
    assert isinstance(read, Row)
    return read


def test_a_full_record_becomes_a_row() -> None:
    row = row_of(
        tenant_name="Acme A/S",
        gateway_id="GW-0001",
        value_field="total_mj",
        installation_id=str(ID),
        deleted_at="2025-01-01",
        replaces_serial="1",
        billing_start_month="6",
        expected_interval="15min",
        time_zone="America/Nuuk",
    )
    assert (row.meter_serial, row.medium, row.unit_of_measure) == ("00440145", Medium.HEAT, UnitOfMeasure.KWH)
    assert row.installed_at == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert row.deleted_at == date(2025, 1, 1)
    assert (row.installation_id, row.gateway_id, row.replaces_serial) == (ID, "GW-0001", "1")
    assert (row.billing_start_month, row.expected_interval) == (6, timedelta(minutes=15))
    assert row.time_zone == "America/Nuuk"


def test_cells_are_trimmed_and_names_composed_so_that_equal_looking_ones_are_equal() -> None:
    assert row_of(property="  A\u030arhusvej 1 ").property == "\u00c5rhusvej 1"


@pytest.mark.parametrize("serial", ["00000000", "2124589c", "KAM 71440145", "7"])
def test_a_serial_stays_as_it_is_written(serial: str) -> None:
    assert row_of(meter_serial=serial).meter_serial == serial


def test_a_column_that_was_not_said_is_told_from_an_empty_one() -> None:
    assert "gateway_id" not in row_of().said
    empty = row_of(gateway_id=" ")
    assert "gateway_id" in empty.said
    assert empty.gateway_id is None


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("tenant", "", "must be given"),
        ("tenant", "Acme", "must be 1-63 lower-case letters, digits and hyphens, and not begin with a hyphen"),
        ("property", "x" * 201, "is longer than 200 characters"),
        ("address", "Vej\x001", "holds the character U+0000, which cannot be seen"),
        ("unit", "1.\u200btv", "holds the character U+200B, which cannot be seen"),
        ("unit", "\ud800", "holds the character U+D800, which cannot be seen"),
        ("meter_serial", " ", "must be given"),
        ("meter_serial", "7144\x000145", "holds the character U+0000, which cannot be seen"),
        ("meter_serial", "7144\u00a00145", "holds the character U+00A0, which cannot be seen"),
        ("meter_serial", "7" * 65, "is longer than 64 characters"),
        ("meter_serial", "7,1440145E+07", "is a number that a spreadsheet has rounded; format the column as text"),
        ("meter_serial", 71440145, "must be a string"),
        ("meter_serial", True, "must be a string"),
        ("gateway_id", "GW.1", "must be 1-64 letters, digits, hyphens and underscores"),
        ("gateway_id", "GW-1\nx", "must be 1-64 letters, digits, hyphens and underscores"),
        ("gateway_id", "G" * 65, "must be 1-64 letters, digits, hyphens and underscores"),
        ("value_field", "total kWh", "must be a field's name: 1-100 letters, digits, hyphens and underscores"),
        ("value_field", "total_m3", "is in m3, which is never kWh"),
        ("value_field", "power_kw", "is in kw, which is never kWh"),
        ("installation_id", "7f6c", "is no UUID"),
        ("billing_start_month", "13", "must be a month, 1 to 12"),
        ("billing_start_month", "٣", "must be a month, 1 to 12"),
        ("billing_start_month", True, "must be a string"),
        ("expected_interval", "1 fortnight", "must be a number and a unit such as 30s, 15min, 1h or 7d"),
        ("expected_interval", "0h", "must be longer than nothing"),
        ("expected_interval", "400d", "is longer than a year"),
        ("expected_interval", "999999999w", "is too long"),
        ("time_zone", "Europe/Atlantis", "must be a name of the IANA data base, such as Europe/Copenhagen"),
        ("time_zone", "europe/copenhagen", "must be a name of the IANA data base, such as Europe/Copenhagen"),
        ("time_zone", "../../etc/passwd", "must be a name of the IANA data base, such as Europe/Copenhagen"),
    ],
)
def test_a_bad_cell_is_told_with_column_value_and_reason(column: str, cell: object, reason: str) -> None:
    (problem,) = problems_of(**{column: cell})
    assert problem.startswith(f"line 2: {column}: ")
    assert problem.endswith(f": {reason}")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("2024-01-01T00:00:00", "has no offset from UTC"),
        ("01-02-2024", "is no time"),
        ("2024-02-30", "is no time"),
        ("2000-00-00", "is no time"),
        ("2024-01-01T00:00:00+25:00", "is no time"),
        ("0001-01-01T00:00:00+14:00", "is no time"),
        ("9999-12-31T23:59:59-12:00", "is no time"),
        ("1969-12-31", "is before 1970"),
        ("soon", "is no time"),
    ],
)
def test_a_time_that_is_none_is_told_with_how_to_write_it(cell: str, reason: str) -> None:
    (problem,) = problems_of(installed_at=cell)
    assert reason in problem


@pytest.mark.parametrize("field", ["total_kwh", "heat_gj", "total", "a_counter", "total_tariff1_MWh"])
def test_a_value_field_in_a_unit_that_converts_or_in_none_is_taken_as_it_is_written(field: str) -> None:
    assert row_of(value_field=field).value_field == field


def test_an_unknown_medium_is_told_with_those_that_are_known() -> None:
    (problem,) = problems_of(medium="steam")
    assert "'steam': is unknown; known are heat, cooling, cold_water" in problem


@pytest.mark.parametrize(
    ("medium", "unit_of_measure"),
    [("heat", "m3"), ("cold_water", "kWh"), ("heat_cost_allocator", "kWh"), ("gas", "hca")],
)
def test_a_unit_that_does_not_fit_the_medium_is_refused(medium: str, unit_of_measure: str) -> None:
    (problem,) = problems_of(medium=medium, unit_of_measure=unit_of_measure)
    assert f"does not fit {medium}" in problem


def test_everything_that_is_wrong_with_a_record_is_told() -> None:
    assert len(problems_of(tenant="", medium="steam", installed_at="soon", gateway_id="a b")) == 4


def test_a_month_may_be_a_json_number() -> None:
    assert row_of(billing_start_month=6).billing_start_month == 6


def test_a_long_value_is_shown_shortened() -> None:
    (problem,) = problems_of(property="x" * 100_000)
    assert len(problem) < 200


def test_missing_and_unknown_columns_are_told_once() -> None:
    rows, problems = read_rows(records(*[{"medium": None, "instaled_at": "2024-01-01"}] * 3))
    assert rows == []
    first, second = (str(problem) for problem in problems)
    assert first == "the file: the column medium is missing"
    assert second.startswith("line 2: the column 'instaled_at' is unknown; known are tenant, property")


def test_columns_are_wrong_where_the_header_is() -> None:
    content = "\n" + ";".join(column for column in COLUMNS if column != "unit") + ";level\n" + ";" * len(COLUMNS)
    _, problems = read_rows(read_records(content.replace("\n;", "\nacme;").encode()))
    first, second = (str(problem) for problem in problems if problem.column is None)
    assert first == "line 2: the column unit is missing"
    assert second.startswith("line 2: the column 'level' is unknown; known are ")


def test_a_wrong_column_and_a_short_line_hide_no_wrong_cell() -> None:
    header, cells = ";".join(GOOD), ";".join(str(cell) for cell in GOOD.values())
    content = f"{header};level\n{cells}\n{cells.replace('heat', 'steam')};2\n{cells};2\n"
    rows, problems = read_rows(read_records(content.encode()))
    assert rows == []
    columns, short, cell = (str(problem) for problem in problems)
    assert columns.startswith("line 1: the column 'level' is unknown; ")
    assert short == "line 2: has 8 cells where the header has 9 columns"
    assert cell.startswith("line 3: medium: 'steam': is unknown; ")


def test_an_item_that_is_no_object_hides_no_problem_of_another() -> None:
    _, problems = read_rows(read_records(json.dumps([1, GOOD | {"medium": "steam"}]).encode()))
    first, second = (str(problem) for problem in problems)
    assert first == "item 1: must be an object"
    assert second.startswith("item 2: medium: 'steam': is unknown; ")


def test_a_file_without_installations_is_refused() -> None:
    assert [str(problem) for problem in read_rows([])[1]] == ["the file: holds no installations"]


def test_good_rows_are_returned_beside_the_problems_of_the_others() -> None:
    rows, problems = read_rows(records({}, {"medium": "steam"}))
    assert [row.place.number for row in rows] == [2]
    assert [problem.place.number for problem in problems] == [3]
