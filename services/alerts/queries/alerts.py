"""Alerts as they are listed: what fell silent, where it is, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import Field

from services.alerts.queries.alert_fields import (
    Acknowledgement,
    AlertId,
    ClosedAt,
    GatewayOfAlert,
    InstallationOfAlert,
    OpenedAt,
    Since,
    Snooze,
)
from services.alerts.queries.alert_subjects import Subjects, few
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.fields import LatestReading
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase
from shared.models import AlertType, ClosedBecause, Medium, OpenedBecause

# `$1` is the tenant, and `{}` properties. A gateway is where the meters are that are expected by it.
IN_PROPERTIES = """(
    EXISTS (SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
            WHERE i.tenant_id = $1 AND i.id = a.installation_id AND u.property_id = ANY ({0}))
    OR EXISTS (SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
               WHERE i.tenant_id = $1 AND i.gateway_id = a.gateway_id AND u.property_id = ANY ({0})))"""

# `$2` are the properties in reach, or NULL for all: with the tenant the first of the two locks on what is seen.
WITHIN_REACH = f"a.tenant_id = $1 AND ($2::uuid[] IS NULL OR {IN_PROPERTIES.format('$2')})"

# Written so that each is what the predicate of a partial index says: the planner sees the arguments.
OF_PAGE = """
    ($3::boolean IS NULL OR (a.closed_at IS NULL) = $3)
    AND ($4::text[] IS NULL OR a.type = ANY ($4))
    AND ($5::boolean IS NULL OR (a.acknowledged_at IS NOT NULL) = $5)
    AND ($6::boolean IS NULL OR (a.snoozed_until IS NOT NULL AND a.snoozed_until > $7) = $6)
    AND ($8::timestamptz IS NULL OR a.opened_at > $8)
    AND ($9::timestamptz IS NULL OR a.opened_at < $9)
    AND ($10::timestamptz IS NULL OR (a.opened_at, a.id) < ($10, $11::uuid))"""

OF_SUBJECTS = f"""
    ($13::uuid[] IS NULL OR a.installation_id = ANY ($13))
    AND ($14::text[] IS NULL OR a.gateway_id = ANY ($14) OR EXISTS (
        SELECT FROM meter_installation i
        WHERE i.tenant_id = $1 AND i.id = a.installation_id AND i.gateway_id = ANY ($14)))
    AND ($15::uuid[] IS NULL OR {IN_PROPERTIES.format("$15")})
    AND ($16::text[] IS NULL OR EXISTS (
        SELECT FROM meter_installation i
        WHERE i.tenant_id = $1 AND i.id = a.installation_id AND i.medium = ANY ($16)))"""  # noqa: S608 - the code's own

NEWEST_FIRST = "ORDER BY a.opened_at DESC, a.id DESC LIMIT"

# Along the time, until the page is full: that is soon where much of what there is may be on it.
WALK = f"SELECT a.* FROM alert a WHERE {{within_reach}} AND {{which}} {NEWEST_FIRST} {{limit}}"  # noqa: S608

# Of a few meters and gateways, `$13` and `$14`, the newest of each.
OF_FEW = f"""
    SELECT a.* FROM (
        SELECT a.* FROM unnest($13::uuid[]) few (id) CROSS JOIN LATERAL (
            SELECT a.* FROM alert a
            WHERE a.tenant_id = $1 AND a.installation_id = few.id AND {OF_PAGE} {NEWEST_FIRST} $12) a
        UNION ALL
        SELECT a.* FROM unnest($14::text[]) few (id) CROSS JOIN LATERAL (
            SELECT a.* FROM alert a
            WHERE a.tenant_id = $1 AND a.gateway_id = few.id AND {OF_PAGE} {NEWEST_FIRST} $12) a
    ) a {NEWEST_FIRST} $12"""  # noqa: S608 - the code's own text

# The places are looked up for the rows of the page alone.
ALERTS = """
WITH page AS MATERIALIZED ({page})
SELECT page.*, i.*, g.*
FROM page
LEFT JOIN LATERAL (
    SELECT i.id AS meter_id, i.meter_serial, i.medium, i.unit_of_measure, i.gateway_id AS expected_by,
           p.id AS property_id, p.name AS property_name, p.address, u.id AS unit_id, u.label,
           s.last_reading_at AS latest_at, s.last_value, s.last_rssi_dbm, s.last_battery_level_pct
    FROM meter_installation i
    JOIN installation_status s ON s.installation_id = i.id
    JOIN unit u ON u.id = i.unit_id
    JOIN property p ON p.id = u.property_id
    WHERE i.id = page.installation_id AND i.tenant_id = $1
    LIMIT 1
) i ON page.installation_id IS NOT NULL
LEFT JOIN LATERAL (
    SELECT g.name AS gateway_name, h.heard_at, expected.count AS installations, expected.addresses
    FROM gateway g
    LEFT JOIN gateway_heard h ON h.gateway_id = g.id
    CROSS JOIN LATERAL (
        SELECT count(*), coalesce((array_agg(DISTINCT p.address ORDER BY p.address))[:10], '{{}}') AS addresses
        FROM meter_installation i JOIN unit u ON u.id = i.unit_id JOIN property p ON p.id = u.property_id
        WHERE i.gateway_id = g.id AND i.tenant_id = $1 AND i.deleted_at IS NULL
          AND ($2::uuid[] IS NULL OR p.id = ANY ($2))
    ) expected
    WHERE g.id = page.gateway_id AND g.tenant_id = $1
    LIMIT 1
) g ON page.gateway_id IS NOT NULL
ORDER BY page.opened_at DESC, page.id DESC"""


class AlertState(StrEnum):
    """Which alerts: those that last, those that ended, or both."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


@dataclass(slots=True)
class Alert:
    """A silence of a meter or of a gateway: it is open until that is heard again."""

    id: AlertId
    type: Annotated[
        AlertType,
        Field(
            description="`installation.stale`: a meter is silent for longer than its limit; `gateway.silent`: a gateway"
            " is, and its meters raise no alerts of their own meanwhile.",
            examples=["installation.stale"],
        ),
    ]
    since: Since
    opened_at: OpenedAt
    opened_because: Annotated[
        OpenedBecause,
        Field(
            description="`silence`: it was silent for too long, and subscribers were told; `rules_changed`: a changed"
            " policy or date made it so, and nobody was told.",
            examples=["silence"],
        ),
    ]
    closed_at: ClosedAt
    closed_because: Annotated[
        ClosedBecause | None,
        Field(
            description="`heard`: it was heard again; `rules_changed`: by changed rules it is not silent for too long;"
            " `removed`: it is no more. null while it is open.",
            examples=["heard"],
        ),
    ]
    installation: Annotated[InstallationOfAlert | None, Field(description="The meter; null where it is a gateway.")]
    gateway: Annotated[GatewayOfAlert | None, Field(description="The gateway; null where it is a meter.")]
    acknowledged: Annotated[Acknowledgement | None, Field(description="null while nobody has.")]
    snoozed: Annotated[Snooze | None, Field(description="null where it is not, or no longer.")]


@dataclass(slots=True)
class AlertsPage(Page):
    """Alerts, the newest first."""

    items: Annotated[list[Alert], Field(description="The alerts of this page.")]


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """Which alerts: all filters hold at once, and of a set one is enough. An empty one is none."""

    state: AlertState = AlertState.OPEN
    types: frozenset[AlertType] = frozenset()
    installation_ids: frozenset[UUID] = frozenset()
    gateway_ids: frozenset[str] = frozenset()
    property_ids: frozenset[UUID] = frozenset()
    media: frozenset[Medium] = frozenset()
    acknowledged: bool | None = None
    snoozed: bool | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None

    def arguments(self, now: datetime) -> tuple[object, ...]:
        """`$3` to `$9` of `OF_PAGE`; but for `now` they are also what a cursor is bound to."""
        is_open = {AlertState.OPEN: True, AlertState.CLOSED: False, AlertState.ALL: None}[self.state]
        return (
            is_open,
            sorted(self.types) or None,
            self.acknowledged,
            self.snoozed,
            now,
            self.opened_after,
            self.opened_before,
        )

    def subjects(self, reach: Reach) -> Subjects:
        """Whose alerts: of the properties those that are within `reach`."""
        properties = self.property_ids if reach.property_ids is None else self.property_ids & reach.property_ids
        return Subjects(
            installation_ids=sorted(self.installation_ids) or None,
            gateway_ids=sorted(self.gateway_ids) or None,
            property_ids=sorted(properties) if self.property_ids else None,
            media=sorted(self.media) or None,
        )


async def alerts_page(
    database: TenantDatabase, *, reach: Reach, filters: AlertFilters, cursor: str | None, limit: int, now: datetime
) -> AlertsPage:
    """A page of the alerts within `reach` that `filters` let through; raises `CursorError`."""
    subjects = filters.subjects(reach)
    bound = [value for value in filters.arguments(now) if value is not now]
    scope = ("alerts", reach.tenant_id, bound, subjects.arguments)
    after = (None, None) if cursor is None else decode_cursor(cursor, tuple[datetime, UUID], scope=scope)
    arguments = (*reach_arguments(reach), *filters.arguments(now), *after, limit + 1)
    async with database.driver_within(reach, plan_each_time=True) as connection:
        selected = await few(connection, reach, subjects)
        if selected is not None:
            rows = await connection.fetch(ALERTS.format(page=OF_FEW), *arguments, *selected)
        else:
            walk = WALK.format(within_reach=WITHIN_REACH, which=f"{OF_PAGE} AND {OF_SUBJECTS}", limit="$12")
            rows = await connection.fetch(ALERTS.format(page=walk), *arguments, *subjects.arguments)
    items = [_alert(row, now) for row in rows[:limit]]
    has_next = len(rows) > limit
    last = (items[-1].opened_at, items[-1].id) if has_next else None
    return AlertsPage(items, encode_cursor(last, scope=scope) if last else None, has_next)


async def one_alert(database: TenantDatabase, *, reach: Reach, alert_id: UUID, now: datetime) -> Alert | None:
    """The alert within `reach` that has that id, or None."""
    async with database.driver_within(reach, plan_each_time=True) as connection:
        return await find_alert(connection, reach=reach, alert_id=alert_id, now=now)


async def find_alert(connection: Connection, *, reach: Reach, alert_id: UUID, now: datetime) -> Alert | None:
    """The same in a transaction that is open for `reach`."""
    statement = ALERTS.format(page=WALK.format(within_reach=WITHIN_REACH, which="a.id = $3", limit="1"))
    row = await connection.fetchrow(statement, *reach_arguments(reach), alert_id)
    return None if row is None else _alert(row, now)


def reach_arguments(reach: Reach) -> tuple[UUID, list[UUID] | None]:
    """`$1` and `$2` of `WITHIN_REACH`."""
    return reach.tenant_id, None if reach.property_ids is None else sorted(reach.property_ids)


def _alert(row: asyncpg.Record, now: datetime) -> Alert:
    return Alert(
        id=row["id"],
        type=AlertType(row["type"]),
        since=row["since"],
        opened_at=row["opened_at"],
        opened_because=OpenedBecause(row["opened_because"]),
        closed_at=row["closed_at"],
        closed_because=None if row["closed_because"] is None else ClosedBecause(row["closed_because"]),
        installation=None if row["meter_id"] is None else _installation(row),
        gateway=None if row["gateway_id"] is None else _gateway(row),
        acknowledged=Acknowledgement(row["acknowledged_at"], row["acknowledged_by"], row["acknowledge_note"])
        if row["acknowledged_at"] is not None
        else None,
        snoozed=Snooze(row["snoozed_until"], row["snoozed_by"])
        if row["snoozed_until"] is not None and row["snoozed_until"] > now
        else None,
    )


def _installation(row: asyncpg.Record) -> InstallationOfAlert:
    latest: list[Any] = [row[name] for name in ("latest_at", "last_value", "last_rssi_dbm", "last_battery_level_pct")]
    return InstallationOfAlert(
        id=row["meter_id"],
        meter_serial=row["meter_serial"],
        medium=Medium(row["medium"]),
        unit_of_measure=row["unit_of_measure"],
        gateway_id=row["expected_by"],
        property_id=row["property_id"],
        property_name=row["property_name"],
        property_address=row["address"],
        unit_id=row["unit_id"],
        unit_label=row["label"],
        latest_reading=None if row["latest_at"] is None else LatestReading(*latest),
    )


def _gateway(row: asyncpg.Record) -> GatewayOfAlert:
    return GatewayOfAlert(
        id=row["gateway_id"],
        name=row["gateway_name"],
        last_heard_at=row["heard_at"],
        installations=row["installations"],
        addresses=row["addresses"],
    )
