"""Installations with their state and latest reading, as `installation_status` has them: no reading is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic import Field

from services.query.database import QueryDatabase
from services.query.queries.conditions import Conditions
from services.query.queries.installation_filters import (
    InstallationFilters,
    are_in_few_places,
    installations_with,
    installations_within,
)
from services.query.queries.installation_order import ORDERS, InstallationSort, stretches_after
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.fields import (
    GATEWAY_EXAMPLE,
    InstallationId,
    LatestReading,
    MeterSerial,
    PropertyAddress,
    PropertyId,
    PropertyName,
    UnitId,
    UnitLabel,
)
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.models import InstallationState, Medium, UnitOfMeasure

# The places are looked up for the rows of the page alone, one by one, whatever the planner thinks of the rest.
# The columns are in the order of the fields of `Installation`, then those of `LatestReading`, then the rest.
ROWS = """
WITH page AS MATERIALIZED (
    SELECT s.installation_id, s.state, s.state_since,
           s.last_reading_at, s.last_value, s.last_rssi_dbm, s.last_battery_level_pct,
           i.meter_serial, i.medium, i.unit_of_measure, i.installed_at, i.gateway_id, i.unit_id,
           i.deleted_at, i.replaces_id
    {source}
    ORDER BY {order}
    LIMIT {limit}
)
SELECT page.installation_id, page.meter_serial, page.medium, page.unit_of_measure, page.installed_at, page.gateway_id,
       place.property_id, place.name, place.address, page.unit_id, place.label, page.state, page.state_since,
       page.last_reading_at, page.last_value, page.last_rssi_dbm, page.last_battery_level_pct,
       page.deleted_at, page.replaces_id
FROM page CROSS JOIN LATERAL (
    SELECT p.id AS property_id, p.name, p.address, u.label
    FROM unit u JOIN property p ON p.id = u.property_id
    WHERE u.id = page.unit_id AND p.tenant_id = $1
    LIMIT 1
) AS place
ORDER BY {order}"""

# Along the index of the order, until there are enough.
ALL = """
    FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id
    WHERE {of_status} AND {of_installation}"""

# The same, but not far: enough when many are let through.
NEAR = """
    FROM (SELECT s.* FROM installation_status s WHERE {of_status} ORDER BY {order} LIMIT {near}) s
    CROSS JOIN LATERAL (
        SELECT i.* FROM meter_installation i WHERE i.id = s.installation_id AND {of_installation} LIMIT 1
    ) i"""

# First those that are let through, and then their order: when they are few.
FOUND = """
    FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id
    WHERE {of_status} AND s.installation_id = ANY (ARRAY(
        SELECT i.id FROM meter_installation i WHERE {of_installation}
    ))"""

NEAR_ROWS = 1000
"""So far the filters are tried on the rows of the order, one by one."""

PLACED, OF_READING = 13, 4
"""So many columns are fields of the one and of the other."""

NEIGHBOUR = """
SELECT i.id FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id
WHERE {of_installation} AND {of_status} ORDER BY i.installed_at DESC, i.id LIMIT 1"""


@dataclass(slots=True)
class Installation:
    """One meter in one unit of a property, and whether it is still heard."""

    id: InstallationId
    meter_serial: MeterSerial
    medium: Medium
    unit_of_measure: Annotated[UnitOfMeasure, Field(description="What its values are in.", examples=["kWh"])]
    installed_at: Annotated[
        datetime, Field(description="When it was mounted (UTC).", examples=["2025-03-17T09:00:00Z"])
    ]
    gateway_id: Annotated[
        str | None,
        Field(description="The gateway that is expected to hear it; null where none is.", examples=[GATEWAY_EXAMPLE]),
    ]
    property_id: PropertyId
    property_name: PropertyName
    property_address: PropertyAddress
    unit_id: UnitId
    unit_label: UnitLabel
    state: Annotated[
        InstallationState,
        Field(
            description="`never_seen`: not heard yet, and not yet due to be; `fresh`: heard within its limit; `stale`:"
            " silent for longer than that.",
            examples=["fresh"],
        ),
    ]
    state_since: Annotated[
        datetime, Field(description="Since when it is in that state (UTC).", examples=["2025-03-17T10:00:00Z"])
    ]
    latest_reading: Annotated[LatestReading | None, Field(description="null until it is heard for the first time.")]


@dataclass(slots=True)
class InstallationWithHistory(Installation):
    """One meter, also one that was taken out, and what was there before and after it."""

    deleted_at: Annotated[
        datetime | None,
        Field(
            description="When it was taken out (UTC); null while it is there. Its readings stay.",
            examples=[None],
        ),
    ]
    replaces_id: Annotated[
        UUID | None,
        Field(
            description="The installation whose place it took, if it did.",
            examples=["0b7a52c4-6a0c-4f0e-9d27-1f6b0b6f8e31"],
        ),
    ]
    replaced_by_id: Annotated[
        UUID | None, Field(description="The installation that took its place, if one did.", examples=[None])
    ]


@dataclass(slots=True)
class InstallationsPage(Page):
    """Installations, in the order that was asked for."""

    items: Annotated[list[Installation], Field(description="The installations of this page.")]


async def installations_page(
    database: QueryDatabase,
    *,
    reach: Reach,
    filters: InstallationFilters,
    sort: InstallationSort,
    cursor: str | None,
    limit: int,
) -> InstallationsPage:
    """A page of the installations within `reach` that `filters` let through; raises `CursorError`."""
    scope = ("installations", reach.tenant_id, sort, filters.key())
    order = ORDERS[sort]
    after = None if cursor is None else decode_cursor(cursor, order.position, scope=scope)
    conditions = installations_with(reach, filters)
    is_narrowed = reach.property_ids is not None or filters.are_of_installation
    if sort is InstallationSort.METER_SERIAL or not is_narrowed:
        # By serial a walk looks at the installation first, and so never at a status in vain.
        sources = [ALL]
    else:
        sources = [FOUND] if are_in_few_places(reach, filters) else [NEAR, FOUND]
    rows: list[asyncpg.Record] = []
    async with database.driver_within(reach, plan_each_time=is_narrowed or filters.states is not None) as connection:
        for stretch in stretches_after(conditions, sort, after):
            rows += await _first(connection, sources, stretch, order=order.by, limit=limit + 1 - len(rows))
            if len(rows) > limit:
                break
    has_next = len(rows) > limit
    last = [rows[limit - 1][column] for column in order.columns] if has_next else None
    next_cursor = encode_cursor(last, scope=scope) if last else None
    return InstallationsPage([Installation(*_fields(row)) for row in rows[:limit]], next_cursor, has_next)


async def one_installation(
    database: QueryDatabase, *, reach: Reach, installation_id: UUID
) -> InstallationWithHistory | None:
    """The installation with that id, deleted or not, or None when there is none within `reach`."""
    this = installations_within(reach).also("i.id = {}", installation_id)
    after_it = installations_within(reach).also("i.replaces_id = {}", installation_id)
    async with database.driver_within(reach) as connection:
        row = await connection.fetchrow(*_rows(ALL, this, order="installation_id", limit=1))
        if row is None:
            return None
        # The one before it may have been elsewhere, in a property that is not within reach.
        before_it = installations_within(reach).also("i.id = {}", row["replaces_id"])
        predecessor, successor = [
            await connection.fetchval(NEIGHBOUR.format(**those.texts), *those.arguments)
            for those in (before_it, after_it)
        ]
    fields = [*_fields(row), row["deleted_at"], predecessor, successor]
    return InstallationWithHistory(*fields)


async def _first(
    connection: "PoolConnectionProxy[asyncpg.Record]",
    sources: Sequence[str],
    conditions: Conditions,
    *,
    order: str,
    limit: int,
) -> list[asyncpg.Record]:
    """The first `limit` rows, from the first of `sources` that has so many; from the last as many as there are."""
    rows: list[asyncpg.Record] = []
    for source in sources:
        rows = await connection.fetch(*_rows(source, conditions, order=order, limit=limit))
        if len(rows) == limit:
            break
    return rows


def _rows(source: str, conditions: Conditions, *, order: str, limit: int) -> tuple[Any, ...]:
    """The statement and its arguments."""
    arguments = (*conditions.arguments, limit)
    texts = {"order": order, "near": str(NEAR_ROWS), "limit": f"${len(arguments)}"}
    return ROWS.format(source=source.format(**conditions.texts, **texts), **texts), *arguments


def _fields(row: asyncpg.Record) -> list[Any]:
    latest = row[PLACED : PLACED + OF_READING]
    return [*row[:PLACED], None if latest[0] is None else LatestReading(*latest)]
