"""What people say of an open alert: that they have seen it, and for how long they want to hear nothing of it."""

from datetime import datetime
from uuid import UUID

from services.alerts.queries.alerts import WITHIN_REACH, Alert, find_alert, reach_arguments
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase

MARK = "UPDATE alert a SET {marks} WHERE {within_reach} AND a.id = $3 AND {which}"

ACKNOWLEDGE = "acknowledged_at = $4, acknowledged_by = $5, acknowledge_note = $6"
SNOOZE = "snoozed_until = $4, snoozed_by = $5"
UNSNOOZE = "snoozed_until = NULL, snoozed_by = NULL"

OPEN = "a.closed_at IS NULL"
UNSEEN = f"{OPEN} AND a.acknowledged_at IS NULL"


class ClosedAlertError(Exception):
    """The alert has ended, so that there is nothing to be said of it any more."""


async def acknowledge(
    database: TenantDatabase, *, reach: Reach, alert_id: UUID, who: str, note: str | None, now: datetime
) -> Alert | None:
    """The alert, which somebody has seen: `who` at `now` unless it was another before. None where there is none.

    Raises `ClosedAlertError`.
    """
    return await _marked(database, reach, alert_id, ACKNOWLEDGE, (now, who, note), which=UNSEEN, now=now)


async def snooze(
    database: TenantDatabase, *, reach: Reach, alert_id: UUID, who: str, until: datetime, now: datetime
) -> Alert | None:
    """The alert, of which nobody is to hear until then, whatever was said before. None where there is none.

    Raises `ClosedAlertError`.
    """
    return await _marked(database, reach, alert_id, SNOOZE, (until, who), which=OPEN, now=now)


async def unsnooze(database: TenantDatabase, *, reach: Reach, alert_id: UUID, now: datetime) -> Alert | None:
    """The alert, snoozed no longer. None where there is none; raises `ClosedAlertError`."""
    return await _marked(database, reach, alert_id, UNSNOOZE, (), which=OPEN, now=now)


async def _marked(
    database: TenantDatabase,
    reach: Reach,
    alert_id: UUID,
    marks: str,
    values: tuple[object, ...],
    *,
    which: str,
    now: datetime,
) -> Alert | None:
    statement = MARK.format(marks=marks, within_reach=WITHIN_REACH, which=which)
    async with database.writing_within(reach) as connection:
        await connection.execute(statement, *reach_arguments(reach), alert_id, *values)
        alert = await find_alert(connection, reach=reach, alert_id=alert_id, now=now)
    if alert is not None and alert.closed_at is not None:
        raise ClosedAlertError
    return alert
