"""Changes of maintenance windows. What a window held, the database lets be looked at again by itself."""

from datetime import datetime
from uuid import UUID

from services.alerts.operations.targets import BeyondReachError, Target, check_there
from services.alerts.queries.maintenance_windows import COLUMNS, find_window, lasting, window_in
from services.alerts.queries.window_fields import MaintenanceWindow, MaintenanceWindowBody
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase

MOST = 1000
"""Windows of a tenant that are not over: before its subscribers are told of something all of these are read."""

INSERT = f"""
INSERT INTO maintenance_window AS w (
    tenant_id, installation_id, property_id, gateway_id, starts_at, ends_at, weekdays, from_time, until_time,
    valid_from, valid_until, time_zone, note, created_at, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15)
RETURNING {COLUMNS}"""  # noqa: S608 - the code's own text

UPDATE = f"""
UPDATE maintenance_window w SET
    installation_id = $2, property_id = $3, gateway_id = $4, starts_at = $5, ends_at = $6, weekdays = $7,
    from_time = $8, until_time = $9, valid_from = $10, valid_until = $11, time_zone = $12, note = $13,
    updated_at = $14, updated_by = $15
WHERE w.tenant_id = $1 AND w.id = $16
RETURNING {COLUMNS}"""  # noqa: S608 - the code's own text

DELETE = "DELETE FROM maintenance_window w WHERE w.tenant_id = $1 AND w.id = $2"

# The meters of a gateway that are elsewhere no narrowed caller sees; whether there are any the database says.
GATEWAY_IS_WITHIN = "SELECT gateway_is_within($1, $2)"


class TooManyWindowsError(Exception):
    """The tenant has as many windows as it may have that are not over."""


async def create_window(
    database: TenantDatabase, *, reach: Reach, wanted: MaintenanceWindowBody, who: str, now: datetime
) -> MaintenanceWindow:
    """The new window. Raises `BeyondReachError`, `NoTargetError` and `TooManyWindowsError`."""
    async with database.writing_within(reach) as connection:
        await _check_target(connection, reach, wanted)
        if await lasting(connection, reach.tenant_id, now) >= MOST:
            raise TooManyWindowsError
        row = await connection.fetchrow(INSERT, reach.tenant_id, *_values(wanted, who, now))
    assert row is not None  # noqa: S101 - an INSERT without a condition returns its row
    return window_in(row)


async def replace_window(
    database: TenantDatabase,
    *,
    reach: Reach,
    window_id: UUID,
    wanted: MaintenanceWindowBody,
    who: str,
    now: datetime,
) -> MaintenanceWindow | None:
    """The window, which is as `wanted` now; None where there is none. Raises `BeyondReachError`, `NoTargetError`."""
    async with database.writing_within(reach) as connection:
        if not await _changeable(connection, reach, window_id):
            return None
        await _check_target(connection, reach, wanted)
        row = await connection.fetchrow(UPDATE, reach.tenant_id, *_values(wanted, who, now), window_id)
    return None if row is None else window_in(row)


async def remove_window(database: TenantDatabase, *, reach: Reach, window_id: UUID) -> bool:
    """Whether there was one. Raises `BeyondReachError`."""
    async with database.writing_within(reach) as connection:
        if not await _changeable(connection, reach, window_id):
            return False
        return await connection.execute(DELETE, reach.tenant_id, window_id) != "DELETE 0"


async def _changeable(connection: Connection, reach: Reach, window_id: UUID) -> bool:
    """Whether there is one; raises `BeyondReachError` where the caller may see it but not change it."""
    found = await find_window(connection, reach=reach, window_id=window_id)
    if found is not None:
        await _check_reach(connection, reach, _target(found))
    return found is not None


async def _check_target(connection: Connection, reach: Reach, wanted: MaintenanceWindowBody) -> None:
    """Raise `BeyondReachError` or `NoTargetError` unless the caller may have a window of that."""
    target = _target(wanted)
    await check_there(connection, reach, target)
    await _check_reach(connection, reach, target)


async def _check_reach(connection: Connection, reach: Reach, target: Target) -> None:
    """Raise `BeyondReachError` where it is of more than what the caller sees; what is named it does see."""
    if reach.property_ids is None:
        return
    gateway_id, properties = target.gateway_id, sorted(reach.property_ids)
    if target.is_all or (gateway_id and not await connection.fetchval(GATEWAY_IS_WITHIN, gateway_id, properties)):
        raise BeyondReachError


def _target(window: MaintenanceWindow | MaintenanceWindowBody) -> Target:
    return Target(window.installation_id, window.property_id, window.gateway_id)


def _values(wanted: MaintenanceWindowBody, who: str, now: datetime) -> tuple[object, ...]:
    return (
        wanted.installation_id,
        wanted.property_id,
        wanted.gateway_id,
        wanted.starts_at,
        wanted.ends_at,
        wanted.weekdays,
        wanted.from_time,
        wanted.until_time,
        wanted.valid_from,
        wanted.valid_until,
        wanted.time_zone,
        wanted.note,
        now,
        who,
    )
