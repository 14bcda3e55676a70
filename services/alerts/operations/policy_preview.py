"""What a change of policies would make of the meters that it concerns: worked out by the rules; nothing is written.

The change is laid over the policies that there are. So the statement of the sweep says which of them would hold for a
meter, and its rules say whether that would be silent for too long.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, FromClause, Select, cast, literal, or_, select, true, union_all

from services.alerts.operations.policies import changeable, check_target
from services.alerts.queries.compiled import NamedRecord, compiled
from services.alerts.queries.limits import POLICIES, limit_of, limited
from services.alerts.queries.policy_fields import Policy, PolicyBody
from services.alerts.queries.preview_fields import Preview, PreviewedInstallation, PreviewedInstallations
from services.alerts.rules.limits import Limit
from services.alerts.rules.staleness import Gateways, Silence, on_the_clock
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase
from shared.models import InstallationState, InstallationStatus, MeterInstallation, Pipeline, Property, Tenant, Unit

AT_A_TIME = 5000
"""Meters in memory at once."""

SAMPLE = 10


class NoPolicyError(Exception):
    """The policy that is to be replaced or removed is not there."""


@dataclass
class Changes:
    """What was found so far: how many it holds for, and which change their state, each with since when it is silent."""

    installations: int = 0
    becoming_stale: list[tuple[datetime, UUID]] = field(default_factory=list)
    no_longer_stale: list[tuple[datetime, UUID]] = field(default_factory=list)


async def preview(
    database: TenantDatabase, *, reach: Reach, policy_id: UUID | None, wanted: PolicyBody | None, now: datetime
) -> Preview:
    """What comes of `wanted` as a new policy, or in place of `policy_id`; of removing that where `wanted` is None.

    A policy that its target has already would give way to it. Raises `NoPolicyError`, and else what the change would.
    """
    async with database.driver_within(reach, plan_each_time=True) as connection:
        # It would take longer than it saves: a second for a statement that takes two.
        await connection.execute("SET LOCAL jit = off")
        replaced = None if policy_id is None else await changeable(connection, reach, policy_id)
        if policy_id is not None and replaced is None:
            raise NoPolicyError
        if wanted is not None:
            await check_target(connection, reach, wanted)
        changes = await _changes(connection, reach, replaced, wanted, now)
        return Preview(
            installations=changes.installations,
            becoming_stale=await _sampled(connection, reach, changes.becoming_stale),
            no_longer_stale=await _sampled(connection, reach, changes.no_longer_stale),
        )


async def _changes(
    connection: Connection, reach: Reach, replaced: Policy | None, wanted: PolicyBody | None, now: datetime
) -> Changes:
    until = await connection.fetchval(*compiled(select(Pipeline.judged_until))) or now
    policy_id = uuid4() if replaced is None else replaced.id
    held = frozenset[UUID]() if replaced is None else await _held_by(connection, reach, replaced)
    targets = [target for target in (replaced, wanted) if target is not None]
    then = limited(_judged(reach, targets), _policies(reach, policy_id, wanted))
    changes, limits = Changes(), dict[UUID | None, Limit]()
    cursor = await connection.cursor(*compiled(then), record_class=NamedRecord)
    while rows := await cursor.fetch(AT_A_TIME):
        concerned = [row for row in rows if row["policy_id"] == policy_id or row["installation_id"] in held]
        # In a thread: 5,000 take a tenth of a second, in which a sweep or another caller need not wait.
        await asyncio.to_thread(_judge, concerned, until, limits, changes)
    return changes


async def _held_by(connection: Connection, reach: Reach, policy: Policy) -> frozenset[UUID]:
    """The installations for which the policy holds now."""
    rows = await connection.fetch(*compiled(limited(_judged(reach, [policy]), POLICIES)))
    return frozenset(row["installation_id"] for row in rows if row["policy_id"] == policy.id)


def _judged(reach: Reach, targets: Sequence[Policy | PolicyBody]) -> Select[*tuple[Any, ...]]:
    """The undeleted installations within reach that any of `targets` is of, with what the rules need to know."""
    return (
        select(
            InstallationStatus.installation_id,
            InstallationStatus.state,
            InstallationStatus.last_reading_at,
            InstallationStatus.registered_at,
            InstallationStatus.judged_from,
            MeterInstallation.installed_at,
        )
        .join(MeterInstallation, MeterInstallation.id == InstallationStatus.installation_id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .join(Tenant, Tenant.id == MeterInstallation.tenant_id)
        .where(*_within(reach), MeterInstallation.deleted_at.is_(None), or_(*map(_is_of, targets)))
    )


def _within(reach: Reach) -> tuple[ColumnElement[bool], ...]:
    """The first of the two locks on what a caller may see."""
    of_tenant = MeterInstallation.tenant_id == reach.tenant_id
    return (of_tenant,) if reach.property_ids is None else (of_tenant, Unit.property_id.in_(sorted(reach.property_ids)))


def _is_of(target: Policy | PolicyBody) -> ColumnElement[bool]:
    """Whether the target is, or has, or is measured by an installation."""
    if target.installation_id is not None:
        return MeterInstallation.id == target.installation_id
    if target.property_id is not None:
        return Unit.property_id == target.property_id
    return true() if target.medium is None else MeterInstallation.medium == target.medium


def _policies(reach: Reach, policy_id: UUID, wanted: PolicyBody | None) -> FromClause:
    """The policies as they would be: `wanted` has the id, and what had that or the same target is no more."""
    columns = POLICIES.c
    others = select(POLICIES).where(columns.tenant_id == reach.tenant_id, columns.id != policy_id)
    if wanted is None:
        return others.subquery("policies")
    target = {name: getattr(wanted, name) for name in ("installation_id", "property_id", "medium")}
    has_another = or_(*(columns[name].is_distinct_from(value) for name, value in target.items()))
    values: dict[str, object] = {
        **{column.name: getattr(wanted, column.name, None) for column in columns},
        "id": policy_id,
        "tenant_id": reach.tenant_id,
    }
    new = select(*(cast(literal(values[it.name], it.type), it.type).label(it.name) for it in columns))
    return union_all(others.where(has_another), new).subquery("policies")


def _judge(rows: Sequence[NamedRecord], until: datetime, limits: dict[UUID | None, Limit], changes: Changes) -> None:
    for row in rows:
        if row["policy_id"] not in limits:
            limits[row["policy_id"]] = limit_of(row)
        silence = Silence(
            state=InstallationState(row["state"]),
            installed_at=row["installed_at"],
            registered_at=row["registered_at"],
            deleted_at=None,
            last_reading_at=row["last_reading_at"],
            judged_from=row["judged_from"],
            rules_changed_at=None,
            alerted=False,
            limit=limits[row["policy_id"]],
        )
        # Gateways make a difference only to alerts.
        would_be = on_the_clock(silence, until, Gateways.HEARD).state
        found = (silence.last_reading_at or silence.installed_at, row["installation_id"])
        if would_be is InstallationState.STALE and silence.state is not InstallationState.STALE:
            changes.becoming_stale.append(found)
        if silence.state is InstallationState.STALE and would_be is not InstallationState.STALE:
            changes.no_longer_stale.append(found)
    changes.installations += len(rows)


async def _sampled(
    connection: Connection, reach: Reach, found: Sequence[tuple[datetime, UUID]]
) -> PreviewedInstallations:
    ids = [installation_id for _, installation_id in nsmallest(SAMPLE, found)]
    rows = await connection.fetch(
        *compiled(
            select(
                MeterInstallation.id,
                MeterInstallation.meter_serial,
                MeterInstallation.medium,
                Property.id,
                Property.name,
                Property.address,
                Unit.label,
                InstallationStatus.last_reading_at,
            )
            .join(InstallationStatus, InstallationStatus.installation_id == MeterInstallation.id)
            .join(Unit, Unit.id == MeterInstallation.unit_id)
            .join(Property, Property.id == Unit.property_id)
            .where(*_within(reach), MeterInstallation.id.in_(ids))
        )
    )
    shown = {row[0]: PreviewedInstallation(*row) for row in rows}
    return PreviewedInstallations(len(found), [shown[one] for one in ids])
