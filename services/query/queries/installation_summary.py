"""How many installations are in which state, counted by the database in one statement."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from services.query.database import QueryDatabase
from services.query.queries.installation_filters import InstallationFilters, installations_with
from shared.http.reach import Reach
from shared.models import Medium

COUNTS = """
SELECT count(*),
       count(*) FILTER (WHERE s.state = 'never_seen'),
       count(*) FILTER (WHERE s.state = 'fresh'),
       count(*) FILTER (WHERE s.state = 'stale'),
       i.medium
FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id
WHERE {of_installation} AND {of_status}
GROUP BY i.medium
ORDER BY i.medium"""


@dataclass(slots=True)
class StateCounts:
    """Numbers of installations; `total` is the sum of the others."""

    total: Annotated[int, Field(description="All of them.", examples=[120])]
    never_seen: Annotated[int, Field(description="Never heard, and not yet due to be.", examples=[1])]
    fresh: Annotated[int, Field(description="Heard within their limit.", examples=[117])]
    stale: Annotated[
        int, Field(description="Silent for longer than their limit, those never heard among them.", examples=[2])
    ]


@dataclass(slots=True)
class MediumCounts(StateCounts):
    """The same of one medium."""

    medium: Medium


@dataclass(slots=True)
class InstallationsSummary(StateCounts):
    """Numbers of installations by state, over all and by medium."""

    by_medium: Annotated[list[MediumCounts], Field(description="Those media that any installation measures.")]


async def installations_summary(
    database: QueryDatabase, *, reach: Reach, filters: InstallationFilters
) -> InstallationsSummary:
    """The counts of the installations within `reach` that `filters` let through."""
    conditions = installations_with(reach, filters)
    async with database.driver_within(reach, plan_each_time=True) as connection:
        rows = await connection.fetch(COUNTS.format(**conditions.texts), *conditions.arguments)
    by_medium = [MediumCounts(*row) for row in rows]
    return InstallationsSummary(
        total=sum(one.total for one in by_medium),
        never_seen=sum(one.never_seen for one in by_medium),
        fresh=sum(one.fresh for one in by_medium),
        stale=sum(one.stale for one in by_medium),
        by_medium=by_medium,
    )
