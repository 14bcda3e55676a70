"""Policies as they are listed and found."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import Field

from services.alerts.queries.policy_fields import Policy, PolicyBody
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase
from shared.models import Medium

COLUMNS = """
    p.id, p.installation_id, p.property_id, p.medium, p.stale_after, p.quiet_weekdays, p.quiet_from, p.quiet_until,
    p.time_zone, p.grace, p.remind_every, p.note, p.created_at, p.updated_at, p.updated_by"""
"""In the order of the fields of `Policy`."""

# `$1` is the tenant, `$2` the properties in reach, or NULL for all: the first of the two locks on what is seen. What is
# of all concerns everybody.
WITHIN_REACH = """
    p.tenant_id = $1 AND ($2::uuid[] IS NULL OR p.installation_id IS NULL AND p.property_id IS NULL
        OR p.property_id = ANY ($2) OR EXISTS (
            SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
            WHERE i.tenant_id = $1 AND i.id = p.installation_id AND u.property_id = ANY ($2)))"""

POLICIES = "SELECT {columns} FROM policy p WHERE {within_reach} AND {which} ORDER BY p.id LIMIT {limit}"

OF_PAGE = """
    ($3::uuid[] IS NULL OR p.installation_id = ANY ($3))
    AND ($4::uuid[] IS NULL OR p.property_id = ANY ($4))
    AND ($5::text[] IS NULL OR p.medium = ANY ($5))
    AND ($6::uuid IS NULL OR p.id > $6)"""

OF_TARGET = """
    (p.installation_id, p.property_id, p.medium) IS NOT DISTINCT FROM ($3::uuid, $4::uuid, $5::text)"""


@dataclass(slots=True)
class PoliciesPage(Page):
    """Policies, in an order that stays."""

    items: Annotated[list[Policy], Field(description="The policies of this page.")]


@dataclass(frozen=True, slots=True)
class PolicyFilters:
    """Which policies, by what they are of: all filters hold at once, and of a set one is enough."""

    installation_ids: frozenset[UUID] = frozenset()
    property_ids: frozenset[UUID] = frozenset()
    media: frozenset[Medium] = frozenset()

    def arguments(self) -> tuple[object, ...]:
        """`$3` to `$5` of `OF_PAGE`; a cursor is bound to them."""
        return sorted(self.installation_ids) or None, sorted(self.property_ids) or None, sorted(self.media) or None


async def policies_page(
    database: TenantDatabase, *, reach: Reach, filters: PolicyFilters, cursor: str | None, limit: int
) -> PoliciesPage:
    """A page of the policies that concern what is within `reach`; raises `CursorError`."""
    scope = ("policies", reach.tenant_id, filters.arguments())
    (after,) = (None,) if cursor is None else decode_cursor(cursor, tuple[UUID], scope=scope)
    async with database.driver_within(reach, plan_each_time=True) as connection:
        rows = await connection.fetch(
            _statement(OF_PAGE, "$7"), *_within(reach), *filters.arguments(), after, limit + 1
        )
    items = [policy_in(row) for row in rows[:limit]]
    has_next = len(rows) > limit
    return PoliciesPage(items, encode_cursor((items[-1].id,), scope=scope) if has_next else None, has_next)


async def one_policy(database: TenantDatabase, *, reach: Reach, policy_id: UUID) -> Policy | None:
    """The policy that has that id and concerns what is within `reach`, or None."""
    async with database.driver_within(reach) as connection:
        return await find_policy(connection, reach=reach, policy_id=policy_id)


async def find_policy(connection: Connection, *, reach: Reach, policy_id: UUID) -> Policy | None:
    """The same in a transaction that is open for `reach`."""
    row = await connection.fetchrow(_statement("p.id = $3", "1"), *_within(reach), policy_id)
    return None if row is None else policy_in(row)


async def policy_of_target(connection: Connection, *, reach: Reach, wanted: PolicyBody) -> Policy | None:
    """The policy within `reach` that is of the same as `wanted`, or None."""
    target = (wanted.installation_id, wanted.property_id, wanted.medium)
    row = await connection.fetchrow(_statement(OF_TARGET, "1"), *_within(reach), *target)
    return None if row is None else policy_in(row)


def policy_in(row: asyncpg.Record) -> Policy:
    """The policy in a row of `COLUMNS`."""
    return Policy(*row)


def _statement(which: str, limit: str) -> str:
    return POLICIES.format(columns=COLUMNS, within_reach=WITHIN_REACH, which=which, limit=limit)


def _within(reach: Reach) -> tuple[UUID, list[UUID] | None]:
    return reach.tenant_id, None if reach.property_ids is None else sorted(reach.property_ids)
