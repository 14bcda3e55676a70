"""Properties with their units and config: a fixed number of statements, however many properties a page has."""

from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic import Field

from services.query.database import QueryDatabase
from services.query.queries.search import pattern_with
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.fields import PropertyAddress, PropertyId, PropertyName, UnitId, UnitLabel
from shared.http.pages import Page
from shared.http.reach import Reach

# `$1` is the tenant, `$2` the properties in reach, or NULL for all: the first of the two locks on what is seen.
WITHIN_REACH = "p.tenant_id = $1 AND ($2::uuid[] IS NULL OR p.id = ANY ($2))"

PROPERTIES = """
SELECT p.id, p.name, p.address, c.expected_interval, c.billing_start_month, c.time_zone
FROM (
    SELECT p.id, p.name, p.address FROM property p
    WHERE {within_reach} AND p.deleted_at IS NULL AND {which}
    ORDER BY p.name, p.id
    LIMIT {limit}
) p LEFT JOIN property_config c ON c.property_id = p.id
ORDER BY p.name, p.id"""

OF_PAGE = """
    ($3::text IS NULL OR p.name ILIKE $3 OR p.address ILIKE $3)
    AND ($4::text IS NULL OR (p.name, p.id) > ($4, $5::uuid))"""

UNITS = "SELECT property_id, id, label FROM unit WHERE property_id = ANY ($1::uuid[]) AND deleted_at IS NULL"


@dataclass(slots=True)
class UnitOfProperty:
    """A flat or room, which meters are mounted in."""

    id: UnitId
    label: UnitLabel


@dataclass(slots=True)
class ConfigOfProperty:
    """How the property's meters are read and billed."""

    expected_interval: Annotated[
        timedelta,
        Field(description="How far its readings are apart: an ISO 8601 duration of seconds.", examples=["PT3600S"]),
    ]
    billing_start_month: Annotated[
        int, Field(ge=1, le=12, description="The month in which a year of billing begins; 1 is January.", examples=[1])
    ]
    time_zone: Annotated[
        str | None,
        Field(
            description="By whose clocks its days begin (IANA); null for the tenant's.", examples=["Europe/Copenhagen"]
        ),
    ]


@dataclass(slots=True)
class PropertyWithUnits:
    """A building with its units, by label, and its config."""

    id: PropertyId
    name: PropertyName
    address: PropertyAddress
    config: Annotated[ConfigOfProperty | None, Field(description="null where it has none.")]
    units: Annotated[list[UnitOfProperty], Field(description="Its flats and rooms, by label.")]


@dataclass(slots=True)
class PropertiesPage(Page):
    """Properties by name."""

    items: Annotated[list[PropertyWithUnits], Field(description="The properties of this page.")]


async def properties_page(
    database: QueryDatabase, *, reach: Reach, text: str, cursor: str | None, limit: int
) -> PropertiesPage:
    """A page of the properties within `reach` that have `text` in name or address; raises `CursorError`."""
    scope = ("properties", reach.tenant_id, text)
    after = (None, None) if cursor is None else decode_cursor(cursor, tuple[str, UUID], scope=scope)
    statement = PROPERTIES.format(within_reach=WITHIN_REACH, which=OF_PAGE, limit="$6")
    pattern = pattern_with(text) if text else None
    # With a plan for these arguments, what comes after a cursor is a range of the index.
    async with database.driver_within(reach, plan_each_time=True) as connection:
        rows = await connection.fetch(statement, *reach_arguments(reach), pattern, *after, limit + 1)
        items = await _with_units(connection, rows[:limit])
    has_next = len(rows) > limit
    last = (items[-1].name, items[-1].id) if has_next else None
    return PropertiesPage(items, encode_cursor(last, scope=scope) if last else None, has_next)


async def one_property(database: QueryDatabase, *, reach: Reach, property_id: UUID) -> PropertyWithUnits | None:
    """The property within `reach` that has that id, or None."""
    statement = PROPERTIES.format(within_reach=WITHIN_REACH, which="p.id = $3", limit="1")
    async with database.driver_within(reach) as connection:
        rows = await connection.fetch(statement, *reach_arguments(reach), property_id)
        found = await _with_units(connection, rows)
    return found[0] if found else None


def reach_arguments(reach: Reach) -> tuple[UUID, list[UUID] | None]:
    """`$1` and `$2` of `WITHIN_REACH`."""
    return reach.tenant_id, None if reach.property_ids is None else sorted(reach.property_ids)


async def _with_units(
    connection: "PoolConnectionProxy[asyncpg.Record]", rows: list[asyncpg.Record]
) -> list[PropertyWithUnits]:
    """The properties in `rows`, and their units by one statement for all."""
    units: dict[UUID, list[UnitOfProperty]] = {row["id"]: [] for row in rows}
    for property_id, unit_id, label in await connection.fetch(UNITS, list(units)):
        units[property_id].append(UnitOfProperty(unit_id, label))
    return [
        PropertyWithUnits(
            property_id,
            name,
            address,
            config=None
            if expected_interval is None
            else ConfigOfProperty(expected_interval, billing_start_month, time_zone),
            units=sorted(units[property_id], key=attrgetter("label")),
        )
        for property_id, name, address, expected_interval, billing_start_month, time_zone in rows
    ]
