"""The log of deliveries: what was sent to subscriptions, is still to be sent, or never will be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta
from pydantic import Field

from services.alerts.queries.delivery_fields import DeliveredType, Delivery, DeliveryState
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase
from shared.models import DroppedBecause

# Of the tenant `$1`, and of the properties in reach, `$2`: all where it is NULL, else of a subscription that names
# some, and only such as are within. It is the first of the two locks on what is seen.
SUBSCRIPTION_WITHIN_REACH = """
    s.tenant_id = $1 AND ($2::uuid[] IS NULL OR cardinality(s.property_ids) > 0 AND s.property_ids <@ $2)"""
WITHIN_REACH = f"""
    d.tenant_id = $1 AND d.subscription_id IS NOT NULL AND ($2::uuid[] IS NULL OR EXISTS (
        SELECT FROM subscription s WHERE s.id = d.subscription_id AND {SUBSCRIPTION_WITHIN_REACH}))"""

SUBSCRIPTIONS = "SELECT s.id FROM subscription s WHERE {within_reach} AND ($3::uuid[] IS NULL OR s.id = ANY ($3))"

STATES = {
    DeliveryState.PENDING: "d.delivered_at IS NULL AND d.dropped_at IS NULL",
    DeliveryState.DELIVERED: "d.delivered_at IS NOT NULL",
    DeliveryState.DROPPED: "d.dropped_at IS NOT NULL",
}
"""Each as the predicate of a partial index has it."""

MADE = """
    ($3::timestamptz IS NULL OR d.created_at >= $3)
    AND ($4::timestamptz IS NULL OR d.created_at < $4)
    AND ($5::timestamptz IS NULL OR (d.created_at, d.position) < ($5, $6::bigint))"""

NEWEST_FIRST = "ORDER BY d.created_at DESC, d.position DESC LIMIT"

# Along the time, or all of a few alerts.
WALK = f"""
    SELECT d.* FROM delivery d
    WHERE {{within_reach}} AND {MADE} AND ({{states}})
      AND ($8::uuid[] IS NULL OR d.alert_id = ANY ($8))
      AND ($9::text[] IS NULL OR d.event_type = ANY ($9))
      AND ($10::uuid[] IS NULL OR d.subscription_id = ANY ($10))
    {NEWEST_FIRST} $7"""  # noqa: S608 - the code's own text

# The newest of each subscription in one state, however few of its deliveries that are; `$8` are the subscriptions.
OF_STATE = f"""
    SELECT d.* FROM unnest($8::uuid[]) few (id) CROSS JOIN LATERAL (
        SELECT d.* FROM delivery d
        WHERE {{within_reach}} AND d.subscription_id = few.id AND {MADE} AND {{state}} {NEWEST_FIRST} $7) d"""  # noqa: S608

# The same of each of the types `$9`.
OF_STATE_AND_TYPES = f"""
    SELECT d.* FROM unnest($8::uuid[]) few (id) CROSS JOIN unnest($9::text[]) kind (name) CROSS JOIN LATERAL (
        SELECT d.* FROM delivery d
        WHERE {{within_reach}} AND d.subscription_id = few.id AND d.event_type = kind.name AND {MADE} AND {{state}}
        {NEWEST_FIRST} $7) d"""  # noqa: S608

MERGED = f"SELECT d.* FROM ({{parts}}) d {NEWEST_FIRST} $7"  # noqa: S608 - the code's own text

ONE = "SELECT d.* FROM delivery d WHERE {within_reach} AND d.id = $3"

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]


@dataclass(slots=True)
class DeliveriesPage(Page):
    """Deliveries, the newest first."""

    items: Annotated[list[Delivery], Field(description="The deliveries of this page.")]


@dataclass(frozen=True, slots=True)
class DeliveryFilters:
    """Which deliveries: all filters hold at once, and of a set one is enough. An empty one is none.

    Times are when the event was made, from `made_from` to before `made_to`.
    """

    subscription_ids: frozenset[UUID] = frozenset()
    states: frozenset[DeliveryState] = frozenset()
    types: frozenset[DeliveredType] = frozenset()
    alert_ids: frozenset[UUID] = frozenset()
    made_from: datetime | None = None
    made_to: datetime | None = None

    @property
    def bound(self) -> tuple[object, ...]:
        """What a cursor is bound to."""
        sets = (self.subscription_ids, self.states, self.types, self.alert_ids)
        return *(sorted(it) for it in sets), self.made_from, self.made_to


async def deliveries_page(
    database: TenantDatabase, *, reach: Reach, filters: DeliveryFilters, cursor: str | None, limit: int
) -> DeliveriesPage:
    """A page of the deliveries within `reach` that `filters` let through; raises `CursorError`."""
    scope = ("deliveries", reach.tenant_id, filters.bound)
    after = (None, None) if cursor is None else decode_cursor(cursor, tuple[datetime, Position], scope=scope)
    async with database.driver_within(reach, plan_each_time=True) as connection:
        subscriptions = await _subscriptions(connection, reach, filters)
        statement, more = _page(filters, subscriptions)
        rows = await connection.fetch(
            statement, *reach_arguments(reach), filters.made_from, filters.made_to, *after, limit + 1, *more
        )
    items = [_delivery(row) for row in rows[:limit]]
    has_next = len(rows) > limit
    last = (rows[limit - 1]["created_at"], rows[limit - 1]["position"]) if has_next else None
    return DeliveriesPage(items, encode_cursor(last, scope=scope) if last else None, has_next)


async def one_delivery(database: TenantDatabase, *, reach: Reach, delivery_id: UUID) -> Delivery | None:
    """The delivery within `reach` that has that id, or None."""
    async with database.driver_within(reach) as connection:
        return await find_delivery(connection, reach=reach, delivery_id=delivery_id)


async def find_delivery(connection: Connection, *, reach: Reach, delivery_id: UUID) -> Delivery | None:
    """The same in a transaction that is open for `reach`."""
    statement = ONE.format(within_reach=WITHIN_REACH)
    row = await connection.fetchrow(statement, *reach_arguments(reach), delivery_id)
    return None if row is None else _delivery(row)


def reach_arguments(reach: Reach) -> tuple[UUID, list[UUID] | None]:
    """`$1` and `$2` of `WITHIN_REACH`."""
    return reach.tenant_id, None if reach.property_ids is None else sorted(reach.property_ids)


async def _subscriptions(connection: Connection, reach: Reach, filters: DeliveryFilters) -> list[UUID] | None:
    """Whose deliveries, also of those that were removed; None where a page is found soon without that."""
    chosen = sorted(filters.subscription_ids) or None
    if chosen is None and reach.property_ids is None and not (filters.states or filters.types):
        return None
    statement = SUBSCRIPTIONS.format(within_reach=SUBSCRIPTION_WITHIN_REACH)
    rows = await connection.fetch(statement, *reach_arguments(reach), chosen)
    return [row["id"] for row in rows]


def _page(filters: DeliveryFilters, subscriptions: list[UUID] | None) -> tuple[str, tuple[object, ...]]:
    """The statement of a page, and its arguments from `$8` on."""
    chosen = [STATES[state] for state in DeliveryState if state in (filters.states or set(DeliveryState))]
    types = sorted(filters.types) or None
    if filters.alert_ids or subscriptions is None:
        either = " OR ".join(f"({state})" for state in chosen) if filters.states else "true"
        walk = WALK.format(within_reach=WITHIN_REACH, states=either)
        return walk, (sorted(filters.alert_ids) or None, types, subscriptions)
    part = OF_STATE if types is None else OF_STATE_AND_TYPES
    parts = [part.format(within_reach=WITHIN_REACH, state=state) for state in chosen]
    return MERGED.format(parts=" UNION ALL ".join(parts)), (subscriptions,) if types is None else (subscriptions, types)


def _delivery(row: asyncpg.Record) -> Delivery:
    state = DeliveryState.DROPPED if row["dropped_at"] is not None else DeliveryState.PENDING
    state = DeliveryState.DELIVERED if row["delivered_at"] is not None else state
    is_pending = state is DeliveryState.PENDING
    because = row["dropped_because"]
    return Delivery(
        id=row["id"],
        subscription_id=row["subscription_id"],
        alert_id=row["alert_id"],
        event_type=row["event_type"],
        event=msgspec.json.decode(row["event"]),
        state=state,
        created_at=row["created_at"],
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"] if is_pending else None,
        last_attempt_at=row["last_attempt_at"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        delivered_at=row["delivered_at"],
        dropped_at=row["dropped_at"],
        dropped_because=None if because is None else DroppedBecause(because),
        digest_id=row["digest_id"],
        # What is on its way no window holds any more.
        held_by=row["held_by"] if is_pending and row["digest_id"] is None else None,
    )
