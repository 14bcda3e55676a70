"""What people say of all open alerts of a meter, a property or a gateway at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.alerts.operations.alert_marks import ACKNOWLEDGE, OPEN, SNOOZE, UNSEEN, UNSNOOZE
from services.alerts.operations.targets import Target, check_there
from services.alerts.queries.alert_fields import ALERT_EXAMPLE
from services.alerts.queries.alerts import WITHIN_REACH, reach_arguments
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase

SHOWN = 100
"""Of the alerts that were marked, so many are named."""

# Locked in the order of their ids, as whoever closes several of them does. A gateway's, and those of the meters that
# are expected by it; a property's, and those of the gateways that hear nothing outside it.
MARK = """
WITH marked AS MATERIALIZED (
    SELECT a.id, a.opened_at FROM alert a WHERE {within_reach} AND {of_target} AND {which}
    ORDER BY a.id FOR NO KEY UPDATE
), written AS (
    UPDATE alert a SET {marks} FROM marked WHERE a.id = marked.id
)
SELECT count(*), coalesce((array_agg(id ORDER BY opened_at DESC, id DESC))[:{shown}], '{{}}') FROM marked"""

OF_INSTALLATION = "a.installation_id = $3::uuid"
OF_GATEWAY = """
    (a.gateway_id = $3::text OR a.installation_id IN (
        SELECT i.id FROM meter_installation i WHERE i.tenant_id = $1 AND i.gateway_id = $3::text))"""
OF_PROPERTY = """
    (a.installation_id IN (
        SELECT i.id FROM meter_installation i JOIN unit u ON u.id = i.unit_id
        WHERE i.tenant_id = $1 AND u.property_id = $3::uuid)
     OR a.gateway_id IN (
        WITH here AS MATERIALIZED (
            SELECT DISTINCT i.gateway_id FROM meter_installation i JOIN unit u ON u.id = i.unit_id
            WHERE i.tenant_id = $1 AND u.property_id = $3::uuid AND i.deleted_at IS NULL)
        SELECT here.gateway_id FROM here WHERE gateway_is_within(here.gateway_id, ARRAY[$3::uuid])))"""

SNOOZED = f"{OPEN} AND a.snoozed_until IS NOT NULL"


@dataclass(slots=True)
class MarkedAlerts:
    """What a mark of many alerts has done."""

    marked: Annotated[
        int,
        Field(
            description="How many alerts got the mark by this call: acknowledged are only those that nobody had, and a"
            " snooze ends only where there is one.",
            examples=[1],
        ),
    ]
    alert_ids: Annotated[
        list[UUID], Field(description=f"Which these are; the newest {SHOWN}.", examples=[[ALERT_EXAMPLE]])
    ]


async def acknowledge_all(
    database: TenantDatabase, *, reach: Reach, target: Target, who: str, note: str | None, now: datetime
) -> MarkedAlerts:
    """Of the target's open alerts those that nobody had seen: now `who` has. Raises `NoTargetError`."""
    return await _mark(database, reach, target, ACKNOWLEDGE, (now, who, note), which=UNSEEN)


async def snooze_all(
    database: TenantDatabase, *, reach: Reach, target: Target, who: str, until: datetime
) -> MarkedAlerts:
    """The target's open alerts, of which nobody is to hear until then. Raises `NoTargetError`."""
    return await _mark(database, reach, target, SNOOZE, (until, who), which=OPEN)


async def unsnooze_all(database: TenantDatabase, *, reach: Reach, target: Target) -> MarkedAlerts:
    """Those of the target's open alerts that somebody had snoozed, which they are no longer. Raises `NoTargetError`."""
    return await _mark(database, reach, target, UNSNOOZE, (), which=SNOOZED)


async def _mark(
    database: TenantDatabase, reach: Reach, target: Target, marks: str, values: tuple[object, ...], *, which: str
) -> MarkedAlerts:
    """`target` names one thing."""
    of_target, named = next(
        (condition, named)
        for condition, named in (
            (OF_INSTALLATION, target.installation_id),
            (OF_PROPERTY, target.property_id),
            (OF_GATEWAY, target.gateway_id),
        )
        if named is not None
    )
    statement = MARK.format(within_reach=WITHIN_REACH, of_target=of_target, which=which, marks=marks, shown=SHOWN)
    async with database.writing_within(reach) as connection:
        await check_there(connection, reach, target)
        row = await connection.fetchrow(statement, *reach_arguments(reach), named, *values)
    assert row is not None  # noqa: S101 - an aggregate is a row
    return MarkedAlerts(*row)
