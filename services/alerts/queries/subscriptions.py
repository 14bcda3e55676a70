"""Subscriptions as they are listed and found."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import Field

from services.alerts.queries.subscription_fields import Subscription
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase

COLUMNS = """
    s.id, s.name, s.url, s.mail_address, s.language, s.event_types, s.property_ids, s.media, s.enabled, s.disabled_at,
    s.disabled_because, s.failing_since, s.held_until, s.created_at, s.updated_at, s.updated_by"""
"""In the order of the fields of `Subscription`."""

# `$1` is the tenant, `$2` the properties in reach, or NULL for all: the first of the two locks on what is seen. One
# that hears of all properties is of those alone who may see all.
WITHIN_REACH = """
    s.tenant_id = $1 AND s.deleted_at IS NULL
    AND ($2::uuid[] IS NULL OR cardinality(s.property_ids) > 0 AND s.property_ids <@ $2)"""

SUBSCRIPTIONS = "SELECT {columns} FROM subscription s WHERE {within_reach} AND {which} ORDER BY s.id LIMIT {limit}"

OF_PAGE = "($3::uuid IS NULL OR s.id > $3)"


@dataclass(slots=True)
class SubscriptionsPage(Page):
    """Subscriptions, in an order that stays."""

    items: Annotated[list[Subscription], Field(description="The subscriptions of this page.")]


async def subscriptions_page(
    database: TenantDatabase, *, reach: Reach, cursor: str | None, limit: int
) -> SubscriptionsPage:
    """A page of the subscriptions within `reach`; raises `CursorError`."""
    scope = ("subscriptions", reach.tenant_id)
    (after,) = (None,) if cursor is None else decode_cursor(cursor, tuple[UUID], scope=scope)
    async with database.driver_within(reach) as connection:
        rows = await connection.fetch(_statement(OF_PAGE, "$4"), *within(reach), after, limit + 1)
    items = [subscription_in(row) for row in rows[:limit]]
    has_next = len(rows) > limit
    return SubscriptionsPage(items, encode_cursor((items[-1].id,), scope=scope) if has_next else None, has_next)


async def one_subscription(database: TenantDatabase, *, reach: Reach, subscription_id: UUID) -> Subscription | None:
    """The subscription that has that id and is within `reach`, or None."""
    async with database.driver_within(reach) as connection:
        return await find_subscription(connection, reach=reach, subscription_id=subscription_id)


async def find_subscription(connection: Connection, *, reach: Reach, subscription_id: UUID) -> Subscription | None:
    """The same in a transaction that is open for `reach`."""
    row = await connection.fetchrow(_statement("s.id = $3", "1"), *within(reach), subscription_id)
    return None if row is None else subscription_in(row)


def subscription_in(row: asyncpg.Record) -> Subscription:
    """The subscription in a row of `COLUMNS`."""
    return Subscription(*row)


def within(reach: Reach) -> tuple[UUID, list[UUID] | None]:
    """`$1` and `$2` of `WITHIN_REACH`."""
    return reach.tenant_id, None if reach.property_ids is None else sorted(reach.property_ids)


def _statement(which: str, limit: str) -> str:
    return SUBSCRIPTIONS.format(columns=COLUMNS, within_reach=WITHIN_REACH, which=which, limit=limit)
