"""Whether the rows of one file agree with each other about what several of them describe."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from shared.registry.problems import Place, Problem
from shared.registry.rows import Row


@dataclass(frozen=True, slots=True)
class _Claim:
    """A row says of a `subject` that its `column` is `value`."""

    subject: Hashable
    column: str
    value: object
    about: str


def disagreements(rows: Iterable[Row]) -> list[Problem]:
    """A problem for each row that says other than an earlier one."""
    first: dict[tuple[Hashable, str], tuple[object, Place]] = {}
    problems = []
    for row in rows:
        for claim in _claims(row):
            value, place = first.setdefault((claim.subject, claim.column), (claim.value, row.place))
            if value != claim.value:
                reason = f"{place} says {value!s} of {claim.about}"
                problems.append(Problem(row.place, claim.column, str(claim.value), reason))
    return problems


def _claims(row: Row) -> Iterator[_Claim]:
    house = (row.tenant, row.property)
    yield _Claim(house, "address", row.address, "this property")
    if row.billing_start_month is not None:
        yield _Claim(house, "billing_start_month", row.billing_start_month, "this property")
    if row.expected_interval is not None:
        yield _Claim(house, "expected_interval", row.expected_interval, "this property")
    if row.time_zone is not None:
        yield _Claim(house, "time_zone", row.time_zone, "this property")
    if row.tenant_name is not None:
        yield _Claim(row.tenant, "tenant_name", row.tenant_name, "this tenant")
    if row.gateway_id is not None:
        yield _Claim(row.gateway_id, "tenant", row.tenant, f"gateway {row.gateway_id}")
