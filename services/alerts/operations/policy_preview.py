"""What a change of policies would make of meters and gateways: worked out by the rules; nothing is written.

The gateways first, as in a sweep: the limit of one hangs on those of its meters, and a meter behind a silent one is not
reported. Neither meters nor gateways are in memory all at once, however many there are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import select

from services.alerts.operations.policies import changeable, check_target
from services.alerts.operations.reporting import OPENED
from services.alerts.queries.compiled import NamedRecord, compiled
from services.alerts.queries.gateways import silence_of, together
from services.alerts.queries.limits import limit_of
from services.alerts.queries.policy_change import (
    PolicyChange,
    concerned,
    gateways_in_use,
    limits_then,
    shown_gateways,
    shown_installations,
)
from services.alerts.queries.policy_fields import PolicyBody
from services.alerts.queries.preview_fields import (
    Preview,
    PreviewedGateway,
    PreviewedGateways,
    PreviewedInstallation,
    PreviewedInstallations,
)
from services.alerts.rules import gateways as of_gateways
from services.alerts.rules import staleness
from services.alerts.rules.limits import Limit
from services.alerts.rules.staleness import Gateways, Silence
from shared.http.reach import Reach
from shared.http.tenant_database import Connection, TenantDatabase
from shared.models import GatewayState, InstallationState, Pipeline

AT_A_TIME = 5000
"""Meters in memory at once."""

SAMPLE = 10

STALE = InstallationState.STALE

Key = TypeVar("Key", UUID, str)


class NoPolicyError(Exception):
    """The policy that is to be replaced or removed is not there."""


@dataclass
class Longest(Generic[Key]):
    """How many were found, and the longest silent of them: since when, and which."""

    count: int = 0
    first: list[tuple[datetime, Key]] = field(default_factory=list)

    def add(self, found: list[tuple[datetime, Key]]) -> None:
        """Count some more."""
        self.count += len(found)
        self.first = nsmallest(SAMPLE, self.first + found)

    @property
    def keys(self) -> list[Key]:
        """The longest silent, in that order."""
        return [key for _, key in self.first]


@dataclass
class Changes:
    """What was found so far: for how many meters a policy of the change holds, and whose state would be another."""

    installations: int = 0
    becoming_stale: Longest[UUID] = field(default_factory=Longest)
    suppressed: Longest[UUID] = field(default_factory=Longest)
    no_longer_stale: Longest[UUID] = field(default_factory=Longest)
    gateways_becoming_silent: Longest[str] = field(default_factory=Longest)
    gateways_no_longer_silent: Longest[str] = field(default_factory=Longest)


@dataclass
class Standing:
    """How the gateways that were looked at would stand, those in use; and which are silent now and would be heard."""

    looked_at: set[str] = field(default_factory=set)
    states: dict[str, Gateways] = field(default_factory=dict)
    back: dict[str, datetime] = field(default_factory=dict)


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
        until = await connection.fetchval(*compiled(select(Pipeline.judged_until))) or now
        changes = await _changes(connection, PolicyChange(reach, replaced, wanted), until)
        return Preview(
            installations=changes.installations,
            becoming_stale=await _installations(connection, reach, changes.becoming_stale),
            suppressed=await _installations(connection, reach, changes.suppressed),
            no_longer_stale=await _installations(connection, reach, changes.no_longer_stale),
            gateways_becoming_silent=await _gateways(connection, reach, changes.gateways_becoming_silent),
            gateways_no_longer_silent=await _gateways(connection, reach, changes.gateways_no_longer_silent),
        )


async def _changes(connection: Connection, change: PolicyChange, until: datetime) -> Changes:
    changes, standing = Changes(), Standing()
    cursor = await connection.cursor(*compiled(concerned(change, until)), record_class=NamedRecord)
    while rows := await cursor.fetch(AT_A_TIME):
        new = sorted({one for row in rows for one in _gateway_ids(row)} - standing.looked_at)
        if new:
            limits = await _limits(connection, change, new, until)
            in_use = await connection.fetch(*compiled(gateways_in_use(change, new, until)), record_class=NamedRecord)
            await asyncio.to_thread(_judge_gateways, in_use, limits, until, standing, changes)
            standing.looked_at.update(new)
        # In a thread: 5,000 take a tenth of a second, in which a sweep or another caller need not wait.
        await asyncio.to_thread(_judge_installations, rows, standing, until, changes)
    return changes


async def _limits(
    connection: Connection, change: PolicyChange, gateway_ids: Sequence[str], until: datetime
) -> dict[str, set[Limit]]:
    """The limits that the meters of each gateway would have."""
    limits: dict[str, set[Limit]] = defaultdict(set)

    def note(rows: Sequence[NamedRecord]) -> None:
        for row in rows:
            limits[row["gateway_id"]].add(limit_of(row))

    cursor = await connection.cursor(*compiled(limits_then(change, gateway_ids, until)), record_class=NamedRecord)
    while rows := await cursor.fetch(AT_A_TIME):
        await asyncio.to_thread(note, rows)
    return limits


def _gateway_ids(row: NamedRecord) -> set[str]:
    return {one for one in (row["expected_gateway_id"], row["last_gateway_id"]) if one is not None}


def _judge_gateways(
    rows: Sequence[NamedRecord],
    limits: dict[str, set[Limit]],
    until: datetime,
    standing: Standing,
    changes: Changes,
) -> None:
    silent, back = list[tuple[datetime, str]](), list[tuple[datetime, str]]()
    for row in rows:
        gateway_id = row["gateway_id"]
        silence = silence_of(row, frozenset(limits[gateway_id]))
        would_be = of_gateways.on_the_clock(silence, until).state
        standing.states[gateway_id] = Gateways.HEARD if would_be is GatewayState.HEARD else Gateways.SILENT
        if would_be is GatewayState.HEARD and silence.state is GatewayState.SILENT:
            standing.back[gateway_id] = row["state_since"]
        if would_be is not silence.state:
            (back if would_be is GatewayState.HEARD else silent).append((silence.silent_since, gateway_id))
    changes.gateways_becoming_silent.add(silent)
    changes.gateways_no_longer_silent.add(back)


def _judge_installations(rows: Sequence[NamedRecord], standing: Standing, until: datetime, changes: Changes) -> None:
    stale, suppressed, fresh = (list[tuple[datetime, UUID]]() for _ in range(3))
    limits = dict[UUID | None, Limit]()
    for row in rows:
        if row["policy_id"] not in limits:
            limits[row["policy_id"]] = limit_of(row)
        gateway_ids, alerted = _gateway_ids(row), row["alert_id"] is not None
        back = [] if alerted else [standing.back[one] for one in gateway_ids if one in standing.back]
        last_heard_at = row["last_reading_at"] or row["installed_at"]
        silence = Silence(
            state=InstallationState(row["state"]),
            state_since=row["state_since"],
            installed_at=row["installed_at"],
            registered_at=row["registered_at"],
            deleted_at=row["deleted_at"],
            last_reading_at=row["last_reading_at"],
            judged_from=staleness.judged_afresh_from(row["judged_from"], last_heard_at, back=back, until=until),
            rules_changed_at=until,
            alerted=alerted,
            limit=limits[row["policy_id"]],
        )
        verdict = staleness.on_the_clock(silence, until, together(gateway_ids, standing.states))
        found = (last_heard_at, row["installation_id"])
        if verdict.alert in OPENED:
            stale.append(found)
        elif verdict.state is STALE and silence.state is not STALE:
            suppressed.append(found)
        elif silence.state is STALE and verdict.state is not STALE:
            fresh.append(found)
    changes.installations += len(rows)
    changes.becoming_stale.add(stale)
    changes.suppressed.add(suppressed)
    changes.no_longer_stale.add(fresh)


async def _installations(connection: Connection, reach: Reach, found: Longest[UUID]) -> PreviewedInstallations:
    rows = await connection.fetch(*compiled(shown_installations(reach, found.keys)))
    shown = {row[0]: PreviewedInstallation(*row) for row in rows}
    return PreviewedInstallations(found.count, [shown[one] for one in found.keys])


async def _gateways(connection: Connection, reach: Reach, found: Longest[str]) -> PreviewedGateways:
    rows = await connection.fetch(*compiled(shown_gateways(reach, found.keys)))
    shown = {row[0]: PreviewedGateway(*row) for row in rows}
    return PreviewedGateways(found.count, [shown[one] for one in found.keys])
