"""How many installations are in which state, counted by the database in one statement."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from services.query.database import QueryDatabase
from services.query.queries.installation_filters import InstallationFilters, are_in_few_places, installations_with
from shared.http.reach import Reach
from shared.models import Medium

# Most are fresh: those that are not are looked up in their own index, and the rest is.
COUNTS = """
WITH found AS MATERIALIZED (
    SELECT i.id, i.medium FROM meter_installation i WHERE {of_installation}
), not_fresh AS MATERIALIZED (
    SELECT s.installation_id, s.state FROM installation_status s WHERE {of_status} AND s.state <> 'fresh'{of_few}
)
SELECT count(*),
       count(*) FILTER (WHERE not_fresh.state = 'never_seen'),
       count(*) FILTER (WHERE not_fresh.state IS NULL),
       count(*) FILTER (WHERE not_fresh.state = 'stale'),
       found.medium
FROM found LEFT JOIN not_fresh ON not_fresh.installation_id = found.id
GROUP BY found.medium
ORDER BY found.medium"""

OF_FEW = " AND s.installation_id = ANY (ARRAY(SELECT id FROM found))"


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
    statement = COUNTS.format(**conditions.texts, of_few=OF_FEW if are_in_few_places(reach, filters) else "")
    async with database.driver_within(reach, plan_each_time=True) as connection:
        rows = await connection.fetch(statement, *conditions.arguments)
    by_medium = [MediumCounts(*row) for row in rows]
    return InstallationsSummary(
        total=sum(one.total for one in by_medium),
        never_seen=sum(one.never_seen for one in by_medium),
        fresh=sum(one.fresh for one in by_medium),
        stale=sum(one.stale for one in by_medium),
        by_medium=by_medium,
    )
