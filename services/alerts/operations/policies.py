"""Changes of policies. What they make due, the database notes by itself, and the next sweep judges by it."""

from datetime import datetime
from uuid import UUID

import asyncpg

from services.alerts.operations.targets import BeyondReachError, Target, check_there
from services.alerts.queries.policies import COLUMNS, find_policy, policy_in, policy_of_target
from services.alerts.queries.policy_fields import Policy, PolicyBody, is_of_all
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase

INSERT = f"""
INSERT INTO policy AS p (
    tenant_id, installation_id, property_id, medium, stale_after, quiet_weekdays, quiet_from, quiet_until, time_zone,
    grace, remind_every, note, created_at, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14)
RETURNING {COLUMNS}"""  # noqa: S608 - the code's own text

UPDATE = f"""
UPDATE policy p SET
    installation_id = $2, property_id = $3, medium = $4, stale_after = $5, quiet_weekdays = $6, quiet_from = $7,
    quiet_until = $8, time_zone = $9, grace = $10, remind_every = $11, note = $12, updated_at = $13, updated_by = $14
WHERE p.tenant_id = $1 AND p.id = $15
RETURNING {COLUMNS}"""  # noqa: S608 - the code's own text

DELETE = "DELETE FROM policy p WHERE p.tenant_id = $1 AND p.id = $2"


class TargetTakenError(Exception):
    """What the policy is to be of has one; `policy` is that, unless it was removed meanwhile."""

    def __init__(self, policy: Policy | None) -> None:
        super().__init__("it has a policy already")
        self.policy = policy


async def create_policy(
    database: TenantDatabase, *, reach: Reach, wanted: PolicyBody, who: str, now: datetime
) -> Policy:
    """The new policy. Raises `BeyondReachError`, `NoTargetError` and `TargetTakenError`."""
    try:
        async with database.writing_within(reach) as connection:
            await check_target(connection, reach, wanted)
            row = await connection.fetchrow(INSERT, reach.tenant_id, *_values(wanted, who, now))
    except asyncpg.UniqueViolationError:
        raise await _taken(database, reach, wanted) from None
    assert row is not None  # noqa: S101 - an INSERT without a condition returns its row
    return policy_in(row)


async def replace_policy(
    database: TenantDatabase, *, reach: Reach, policy_id: UUID, wanted: PolicyBody, who: str, now: datetime
) -> Policy | None:
    """The policy, which is as `wanted` now; None where there is none. Raises what `create_policy` raises."""
    try:
        async with database.writing_within(reach) as connection:
            if await changeable(connection, reach, policy_id) is None:
                return None
            await check_target(connection, reach, wanted)
            row = await connection.fetchrow(UPDATE, reach.tenant_id, *_values(wanted, who, now), policy_id)
    except asyncpg.UniqueViolationError:
        raise await _taken(database, reach, wanted) from None
    return None if row is None else policy_in(row)


async def remove_policy(database: TenantDatabase, *, reach: Reach, policy_id: UUID) -> bool:
    """Whether there was one. Raises `BeyondReachError`."""
    async with database.writing_within(reach) as connection:
        if await changeable(connection, reach, policy_id) is None:
            return False
        return await connection.execute(DELETE, reach.tenant_id, policy_id) != "DELETE 0"


async def changeable(connection: Connection, reach: Reach, policy_id: UUID) -> Policy | None:
    """The policy, if there is one; raises `BeyondReachError` where the caller may see it but not change it."""
    found = await find_policy(connection, reach=reach, policy_id=policy_id)
    if found is not None and is_of_all(found) and reach.property_ids is not None:
        raise BeyondReachError
    return found


async def check_target(connection: Connection, reach: Reach, wanted: PolicyBody) -> None:
    """Raise `BeyondReachError` or `NoTargetError` unless the caller may have a policy of that."""
    if is_of_all(wanted) and reach.property_ids is not None:
        raise BeyondReachError
    await check_there(connection, reach, Target(wanted.installation_id, wanted.property_id))


def _values(wanted: PolicyBody, who: str, now: datetime) -> tuple[object, ...]:
    return (
        wanted.installation_id,
        wanted.property_id,
        wanted.medium,
        wanted.stale_after,
        wanted.quiet_weekdays,
        wanted.quiet_from,
        wanted.quiet_until,
        wanted.time_zone,
        wanted.grace,
        wanted.remind_every,
        wanted.note,
        now,
        who,
    )


async def _taken(database: TenantDatabase, reach: Reach, wanted: PolicyBody) -> TargetTakenError:
    async with database.driver_within(reach) as connection:
        return TargetTakenError(await policy_of_target(connection, reach=reach, wanted=wanted))
