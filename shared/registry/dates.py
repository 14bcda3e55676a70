"""When a row's installation begins and ends: a date means its midnight in the tenant's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.registry.problems import Problem, RegistryError
from shared.registry.rows import Row
from shared.time_zones import zone_called

AHEAD = timedelta(days=1)
"""How far ahead of now an installation may begin or end."""


@dataclass(frozen=True, slots=True)
class DatedRow:
    """A row with its times in UTC."""

    row: Row
    installed_at: datetime
    deleted_at: datetime | None


def date_row(row: Row, time_zone: str) -> DatedRow:
    """The row with its times in UTC."""
    deleted_at = None if row.deleted_at is None else _in_utc(row.deleted_at, time_zone)
    return DatedRow(row, _in_utc(row.installed_at, time_zone), deleted_at)


def impossible_times(dated: DatedRow, *, now: datetime) -> list[Problem]:
    """What is wrong with a row's times."""
    row = dated.row
    problems = [
        Problem(row.place, column, str(said), "is more than a day ahead")
        for column, said, at in (
            ("installed_at", row.installed_at, dated.installed_at),
            ("deleted_at", row.deleted_at, dated.deleted_at),
        )
        if at is not None and at > now + AHEAD
    ]
    if dated.deleted_at is not None and dated.deleted_at < dated.installed_at:
        problems.append(Problem(row.place, "deleted_at", str(row.deleted_at), "is before installed_at"))
    return problems


def _in_utc(said: datetime | date, time_zone: str) -> datetime:
    if isinstance(said, datetime):
        return said
    try:
        zone = zone_called(time_zone)
    except ValueError as error:
        raise RegistryError(f"this machine knows no time zone {time_zone!r}; write times with their offset") from error
    return datetime.combine(said, time(), zone).astimezone(UTC)
