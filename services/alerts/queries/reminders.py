"""Which open alerts are due to be told again: by the policy that holds for each, and when it was told last."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

# As the index `ix_alert_to_remind` says it, of an alert `a`.
OPEN = "a.closed_at IS NULL AND a.acknowledged_at IS NULL AND a.opened_because = 'silence'"
TOLD_AT = "greatest(a.opened_at, a.reminded_at)"

# Of each tenant that wants reminders at all, whether what was told longest ago was so for its shortest interval: a look
# at one row, so that nothing is read while nothing can be due.
TENANTS = text(
    f"""
    SELECT tenant_id, remind_every
    FROM (SELECT tenant_id, min(remind_every) AS remind_every FROM policy WHERE remind_every IS NOT NULL
          GROUP BY tenant_id) shortest
    WHERE (SELECT {TOLD_AT} FROM alert a WHERE a.tenant_id = shortest.tenant_id AND {OPEN}
           ORDER BY {TOLD_AT} LIMIT 1) <= cast(:now AS timestamptz) - shortest.remind_every
    """  # noqa: S608 - the code's own text
)

# The most specific policy holds, whole, as in `queries/limits.py`; for a gateway that of the tenant. By joins, and not
# by a look for each alert: where some policies want no reminders, many alerts were told long ago, and are read again.
DUE = text(
    f"""
    SELECT a.id
    FROM alert a
    LEFT JOIN meter_installation i ON i.id = a.installation_id
    LEFT JOIN unit u ON u.id = i.unit_id
    LEFT JOIN policy own ON own.tenant_id = :tenant_id AND own.installation_id = i.id
    LEFT JOIN policy house ON house.tenant_id = :tenant_id AND house.property_id = u.property_id
    LEFT JOIN policy kind ON kind.tenant_id = :tenant_id AND kind.medium = i.medium
    LEFT JOIN policy whole ON whole.tenant_id = :tenant_id
        AND whole.installation_id IS NULL AND whole.property_id IS NULL AND whole.medium IS NULL
    WHERE a.tenant_id = :tenant_id AND {OPEN} AND {TOLD_AT} <= cast(:now AS timestamptz) - cast(:shortest AS interval)
        AND (a.snoozed_until IS NULL OR a.snoozed_until <= :now)
        AND {TOLD_AT} <= cast(:now AS timestamptz) - CASE
            WHEN own.id IS NOT NULL THEN own.remind_every
            WHEN house.id IS NOT NULL THEN house.remind_every
            WHEN kind.id IS NOT NULL THEN kind.remind_every
            ELSE whole.remind_every END
    ORDER BY {TOLD_AT}, a.id LIMIT :at_most
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("tenant_id", type_=Uuid()))

# Compiling it takes longer than running it; and of few alerts it is to be another plan than of a hundred thousand.
PLAN_EACH_TIME = text("SELECT set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)")

# Somebody may have said something of one since it was found, or another replica reminded of it.
LOCK = text(
    f"""
    SELECT a.id, a.installation_id, a.gateway_id, a.since FROM alert a
    WHERE a.id = ANY (:ids) AND {OPEN} AND (a.snoozed_until IS NULL OR a.snoozed_until <= :now)
        AND {TOLD_AT} <= cast(:now AS timestamptz) - cast(:shortest AS interval)
    ORDER BY {TOLD_AT}, a.id FOR NO KEY UPDATE SKIP LOCKED
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))

GATEWAYS = text(
    """
    SELECT g.id, g.tenant_id, g.name, h.heard_at FROM gateway g LEFT JOIN gateway_heard h ON h.gateway_id = g.id
    WHERE g.id = ANY (:ids)
    """
).bindparams(bindparam("ids", type_=ARRAY(Text())))


async def tenants_to_remind(connection: AsyncConnection, now: datetime) -> Sequence[tuple[UUID, timedelta]]:
    """The tenants of which an alert may be due by `now`, with their shortest intervals."""
    found = await connection.execute(TENANTS, {"now": now})
    return [(row.tenant_id, row.remind_every) for row in found]


async def due_alerts(
    connection: AsyncConnection, tenant_id: UUID, shortest: timedelta, now: datetime, *, at_most: int
) -> Sequence[UUID]:
    """The tenant's open alerts whose reminder is due by `now`, those that were told longest ago first; not locked."""
    await connection.execute(PLAN_EACH_TIME)
    values = {"tenant_id": tenant_id, "shortest": shortest, "now": now, "at_most": at_most}
    return (await connection.execute(DUE, values)).scalars().all()


async def lock_alerts(
    connection: AsyncConnection, alert_ids: Sequence[UUID], shortest: timedelta, now: datetime
) -> Sequence[Row[Any]]:
    """Those of the given ones that are to be told again still, locked; not those that another replica has.

    What was told within `shortest` another replica told meanwhile.
    """
    return (await connection.execute(LOCK, {"ids": list(alert_ids), "shortest": shortest, "now": now})).all()


async def gateways_called(connection: AsyncConnection, gateway_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The given gateways, whose they are, what they are called, and when they were heard."""
    if not gateway_ids:
        return {}
    return {row.id: row for row in await connection.execute(GATEWAYS, {"ids": list(gateway_ids)})}
