"""Maintenance windows as they are listed and found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import Field

from services.alerts.queries.window_fields import MaintenanceWindow
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase

COLUMNS = """
    w.id, w.installation_id, w.property_id, w.gateway_id, w.starts_at, w.ends_at, w.weekdays, w.from_time, w.until_time,
    w.valid_from, w.valid_until, w.time_zone, w.note, w.created_at, w.updated_at, w.updated_by"""
"""In the order of the fields of `MaintenanceWindow`."""

# `$1` is the tenant, `$2` the properties in reach, or NULL for all: the first of the two locks on what is seen. What is
# of the whole tenant concerns everybody. A gateway is where the meters are that are expected by it.
WITHIN_REACH = """
    w.tenant_id = $1 AND ($2::uuid[] IS NULL OR num_nonnulls(w.installation_id, w.property_id, w.gateway_id) = 0
        OR w.property_id = ANY ($2) OR EXISTS (
            SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
            WHERE i.tenant_id = $1 AND (i.id = w.installation_id OR i.gateway_id = w.gateway_id)
              AND u.property_id = ANY ($2)))"""

WINDOWS = "SELECT {columns} FROM maintenance_window w WHERE {within_reach} AND {which} ORDER BY w.id LIMIT {limit}"

OF_PAGE = """
    ($3::uuid[] IS NULL OR w.installation_id = ANY ($3))
    AND ($4::uuid[] IS NULL OR w.property_id = ANY ($4))
    AND ($5::text[] IS NULL OR w.gateway_id = ANY ($5))
    AND ($6::uuid IS NULL OR w.id > $6)"""

# Over are also those whose last night is: it begins on the last of their days, wherever on earth that is.
LASTING = """
    SELECT count(*) FROM maintenance_window w
    WHERE w.tenant_id = $1 AND coalesce(w.ends_at > $2, w.valid_until >= ($2 AT TIME ZONE 'UTC')::date - 2, true)"""


@dataclass(slots=True)
class MaintenanceWindowsPage(Page):
    """Maintenance windows, in an order that stays."""

    items: Annotated[list[MaintenanceWindow], Field(description="The windows of this page.")]


@dataclass(frozen=True, slots=True)
class WindowFilters:
    """Which windows, by what they are of: all filters hold at once, and of a set one is enough."""

    installation_ids: frozenset[UUID] = frozenset()
    property_ids: frozenset[UUID] = frozenset()
    gateway_ids: frozenset[str] = frozenset()

    def arguments(self) -> tuple[object, ...]:
        """`$3` to `$5` of `OF_PAGE`; a cursor is bound to them."""
        return tuple(sorted(ids) or None for ids in (self.installation_ids, self.property_ids, self.gateway_ids))


async def windows_page(
    database: TenantDatabase, *, reach: Reach, filters: WindowFilters, cursor: str | None, limit: int
) -> MaintenanceWindowsPage:
    """A page of the windows that concern what is within `reach`; raises `CursorError`."""
    scope = ("maintenance windows", reach.tenant_id, filters.arguments())
    (after,) = (None,) if cursor is None else decode_cursor(cursor, tuple[UUID], scope=scope)
    async with database.driver_within(reach, plan_each_time=True) as connection:
        rows = await connection.fetch(
            _statement(OF_PAGE, "$7"), *_within(reach), *filters.arguments(), after, limit + 1
        )
    items = [window_in(row) for row in rows[:limit]]
    has_next = len(rows) > limit
    return MaintenanceWindowsPage(items, encode_cursor((items[-1].id,), scope=scope) if has_next else None, has_next)


async def one_window(database: TenantDatabase, *, reach: Reach, window_id: UUID) -> MaintenanceWindow | None:
    """The window that has that id and concerns what is within `reach`, or None."""
    async with database.driver_within(reach) as connection:
        return await find_window(connection, reach=reach, window_id=window_id)


async def find_window(connection: Connection, *, reach: Reach, window_id: UUID) -> MaintenanceWindow | None:
    """The same in a transaction that is open for `reach`."""
    row = await connection.fetchrow(_statement("w.id = $3", "1"), *_within(reach), window_id)
    return None if row is None else window_in(row)


async def lasting(connection: Connection, tenant_id: UUID, now: datetime) -> int:
    """How many windows the tenant has that are not over, as far as the caller sees them."""
    count: int = await connection.fetchval(LASTING, tenant_id, now)
    return count


def window_in(row: asyncpg.Record) -> MaintenanceWindow:
    """The window in a row of `COLUMNS`."""
    return MaintenanceWindow(*row)


def _statement(which: str, limit: str) -> str:
    return WINDOWS.format(columns=COLUMNS, within_reach=WITHIN_REACH, which=which, limit=limit)


def _within(reach: Reach) -> tuple[UUID, list[UUID] | None]:
    return reach.tenant_id, None if reach.property_ids is None else sorted(reach.property_ids)
