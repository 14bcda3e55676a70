"""The maintenance windows of a tenant, for the rule that says what is not told now."""

from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Uuid

from services.alerts.rules.maintenance import Once, Recurring, Window
from shared.logs import get_logger
from shared.models import MaintenanceWindow, Tenant

AFTER = bindparam("after", type_=DateTime(timezone=True))

WINDOWS: Select[*tuple[Any, ...]] = (
    select(
        MaintenanceWindow.id,
        MaintenanceWindow.installation_id,
        MaintenanceWindow.property_id,
        MaintenanceWindow.gateway_id,
        MaintenanceWindow.starts_at,
        MaintenanceWindow.ends_at,
        MaintenanceWindow.weekdays,
        MaintenanceWindow.from_time,
        MaintenanceWindow.until_time,
        MaintenanceWindow.valid_from,
        MaintenanceWindow.valid_until,
        func.coalesce(MaintenanceWindow.time_zone, Tenant.time_zone).label("time_zone"),
    )
    .join(Tenant, Tenant.id == MaintenanceWindow.tenant_id)
    .where(
        MaintenanceWindow.tenant_id == bindparam("tenant_id", type_=Uuid()),
        or_(AFTER.is_(None), MaintenanceWindow.ends_at.is_(None), MaintenanceWindow.ends_at > AFTER),
    )
)

log = get_logger(__name__)


async def read_windows(connection: AsyncConnection, tenant_id: UUID, *, after: datetime | None = None) -> list[Window]:
    """All windows of the tenant; not those that are once and over by `after`, where that is given.

    One whose times cannot be is left out, with a line in the log.
    """
    found = await connection.execute(WINDOWS, {"tenant_id": tenant_id, "after": after})
    return [window for row in found if (window := _window(row)) is not None]


def _window(row: Row[Any]) -> Window | None:
    if row.starts_at is not None:
        times: Once | Recurring | None = Once(row.starts_at, row.ends_at)
    else:
        hours = None if row.from_time is None else (row.from_time, row.until_time)
        times = _recurring(frozenset(row.weekdays), hours, row.time_zone, row.valid_from, row.valid_until)
    if times is None:
        return None
    return Window(row.id, times, row.installation_id, row.property_id, row.gateway_id)


@lru_cache(maxsize=4096)
def _recurring(
    weekdays: frozenset[int],
    hours: tuple[time, time] | None,
    time_zone: str,
    valid_from: date | None,
    valid_until: date | None,
) -> Recurring | None:
    """The times; None, with one line in the log, where they cannot be: one bad row must not stop all that is told.

    The HTTP API refuses such rows, but a time zone may be unknown to this machine alone.
    """
    try:
        return Recurring(weekdays, hours, time_zone, valid_from, valid_until)
    except ValueError as error:
        log.error("maintenance_window_ignored", error=str(error))  # noqa: TRY400 - the data's fault, no traceback helps
        return None
