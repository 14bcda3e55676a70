"""Whatever a file holds, it is read or refused with a reason; nothing else happens."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from shared.models import Medium, UnitOfMeasure
from shared.registry.planning import make_plan
from shared.registry.problems import RefusedError
from shared.registry.records import Record, read_records
from shared.registry.registered import Registered
from shared.registry.rows import COLUMNS, read_rows
from tests.shared.registry.files import GOOD, record

ANY_CELL = st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text(), max_size=2) | st.booleans()

FEW = {
    "tenant": st.sampled_from(["acme", "beta"]),
    "property": st.sampled_from(["A", "B"]),
    "unit": st.sampled_from(["1", "2"]),
    "meter_serial": st.sampled_from(["1", "2", "3"]),
    "replaces_serial": st.sampled_from(["", "1", "2"]),
    "gateway_id": st.sampled_from(["", "GW-1"]),
    "medium": st.sampled_from(list(Medium)).map(str),
    "unit_of_measure": st.sampled_from(list(UnitOfMeasure)).map(str),
    "installed_at": st.sampled_from(["2024-01-01", "2024-06-01", "2025-01-01T00:00:00Z"]),
    "deleted_at": st.sampled_from(["", "2024-06-01", "2025-01-01"]),
    "installation_id": st.sampled_from(["", "7f6c0000-0000-4000-8000-000000000001"]),
}


def plan(records: list[Record]) -> list[str]:
    rows, problems = read_rows(records)
    _, wrong = make_plan(rows, Registered(), now=datetime(2026, 11, 1, tzinfo=UTC), new_id=uuid4)
    return [str(problem) for problem in problems + wrong]


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_records_or_refused(content: bytes) -> None:
    with suppress(RefusedError):
        plan(read_records(content))


@given(st.dictionaries(st.sampled_from(list(COLUMNS)), ANY_CELL))
def test_any_cells_are_a_row_or_problems(changed: dict[str, object]) -> None:
    cells = GOOD | changed
    plan([Record(record().place, cells)])


@given(st.lists(st.fixed_dictionaries({"address": st.just("A 1")}, optional=FEW), min_size=1, max_size=6))
def test_no_plan_without_problems_has_a_meter_in_two_places_at_once(lines: list[dict[str, str]]) -> None:
    records = [record(number, **line) for number, line in enumerate(lines, start=2)]
    rows, problems = read_rows(records)
    made, wrong = make_plan(rows, Registered(), now=datetime(2026, 11, 1, tzinfo=UTC), new_id=uuid4)
    if problems or wrong:
        return
    ends: dict[tuple[object, str], datetime | None] = {}
    for it in sorted(made.installations.created, key=lambda it: it.installed_at):
        meter = (it.tenant_id, it.meter_serial)
        end = ends.get(meter)
        assert meter not in ends or (end is not None and end <= it.installed_at)
        ends[meter] = it.deleted_at
    ids = {it.id for it in made.installations.created}
    assert len(ids) == len(lines)
    assert {it.replaces_id for it in made.installations.created} - {None} <= ids
