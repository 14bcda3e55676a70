"""Makes the status of installations from `reading` anew: what the events of all readings would have made of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Uuid

from services.alerts.operations.transitions import Transition, fresh_since, write
from services.alerts.queries.stored import StoredReading, newest_after
from services.alerts.queries.subjects import Subject, find
from services.alerts.rules.staleness import Verdict, on_a_reading
from shared.models import InstallationState, InstallationStatus

AT_MOST = 1000
"""Installations rebuilt in one transaction: what is heard of them meanwhile waits for it."""

FRESH = InstallationState.FRESH
BEFORE_ALL = UUID(int=0)

# Grace counts from the installation: when a lost row was made is not known any more. Since when its gateway is back is
# what that one's alerts tell: what fell due while it was silent is to be judged afresh still.
MAKE_MISSING = text(
    """
    INSERT INTO installation_status (installation_id, tenant_id, due_at, registered_at, judged_from)
    SELECT i.id, i.tenant_id, i.installed_at, i.installed_at,
           (SELECT max(a.closed_at) FROM alert a WHERE a.gateway_id = i.gateway_id)
    FROM meter_installation i
    WHERE i.tenant_id = coalesce(:tenant_id, i.tenant_id)
      AND NOT EXISTS (SELECT FROM installation_status s WHERE s.installation_id = i.id)
    ON CONFLICT (installation_id) DO NOTHING
    """
).bindparams(bindparam("tenant_id", type_=Uuid()))

# In the order in which a fold locks them, too.
LOCK = (
    select(InstallationStatus.installation_id)
    .where(
        InstallationStatus.installation_id > bindparam("after"),
        InstallationStatus.tenant_id
        == func.coalesce(bindparam("tenant_id", type_=Uuid()), InstallationStatus.tenant_id),
    )
    .order_by(InstallationStatus.installation_id)
    .limit(bindparam("at_most"))
    .with_for_update()
)

# An open alert is of a stale one.
FIND_ALERTS = text(
    """
    UPDATE installation_status AS status
    SET alert_id = found.id, state = CASE WHEN found.id IS NULL THEN status.state ELSE 'stale' END,
        state_since = CASE WHEN status.state = 'stale' THEN status.state_since
                           ELSE coalesce(found.opened_at, status.state_since) END
    FROM (SELECT one.installation_id, alert.id, alert.opened_at FROM installation_status AS one
          LEFT JOIN alert ON alert.installation_id = one.installation_id AND alert.closed_at IS NULL
          WHERE one.installation_id = ANY (:ids)) AS found
    WHERE status.installation_id = found.installation_id AND status.alert_id IS DISTINCT FROM found.id
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))


@dataclass(frozen=True)
class Rebuilt:
    """How many installations were looked at, and of how many the status was another than what it is now."""

    looked_at: int
    changed: int


async def count(engine: AsyncEngine, tenant_id: UUID | None) -> int:
    """How many installations a rebuild goes through, of one tenant or (None) of all."""
    async with engine.connect() as connection:
        found: int = await connection.scalar(
            text(
                "SELECT count(*) FROM meter_installation WHERE tenant_id = coalesce(:tenant_id, tenant_id)"
            ).bindparams(bindparam("tenant_id", tenant_id, type_=Uuid()))
        )
        return found


async def rebuild(engine: AsyncEngine, tenant_id: UUID | None, now: datetime | None = None) -> AsyncIterator[Rebuilt]:
    """Rebuild the status of one tenant's installations or (None) of all, batch by batch; for the owner of the tables.

    Each batch is as of `now`: by default when it is locked, by the database's clock.

    Services may run meanwhile. It calls nobody silent: what may be is due at once, for alerts to judge when it may. One
    that was heard, and is stale because nobody told of it, recovers, with its event. By which gateway it was heard, and
    since when it has been in its state, `reading` does not tell: that stays.
    """
    async with engine.begin() as connection:
        await connection.execute(MAKE_MISSING, {"tenant_id": tenant_id})
    after: UUID | None = BEFORE_ALL
    while after is not None:
        async with engine.begin() as connection:
            ids = (
                (await connection.execute(LOCK, {"after": after, "tenant_id": tenant_id, "at_most": AT_MOST}))
                .scalars()
                .all()
            )
            found = await connection.execute(FIND_ALERTS, {"ids": ids})
            locked_at = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            changed = await _rebuild(connection, await find(connection, ids), now or locked_at)
        yield Rebuilt(len(ids), max(changed, found.rowcount))
        after = ids[-1] if len(ids) == AT_MOST else None


async def _rebuild(connection: AsyncConnection, subjects: list[Subject], now: datetime) -> int:
    stored = await newest_after(connection, {one.installation_id: None for one in subjects})
    judged = [_judged(one, stored.get(one.installation_id), now) for one in subjects]
    since = await fresh_since(
        connection,
        [new for new, verdict in judged if verdict.state is FRESH and new.silence.state is not FRESH],
    )
    transitions = [
        Transition(new, verdict, since=since.get(new.installation_id, now))
        for old, (new, verdict) in zip(subjects, judged, strict=True)
        if (new, verdict.state, verdict.due_at) != (old, old.silence.state, old.due_at)
    ]
    await write(connection, transitions, now)
    # That a stale one is looked at again is none.
    return sum(
        (new, verdict.state) != (old, old.silence.state) for old, (new, verdict) in zip(subjects, judged, strict=True)
    )


def _judged(subject: Subject, reading: StoredReading | None, now: datetime) -> tuple[Subject, Verdict]:
    """What its newest stored reading makes of an installation, with that reading."""
    new = subject.having_read(reading)
    silence, before = new.silence, subject.silence.last_reading_at
    if reading is not None and silence.state is not FRESH and (before is None or before < reading.told.timestamp):
        verdict = on_a_reading(silence, now)
    elif reading is None and silence.state is FRESH:
        verdict = Verdict(InstallationState.NEVER_SEEN, silence.due_at)
    else:
        verdict = Verdict(silence.state, silence.due_at)
    if verdict.due_at is not None and subject.due_at is not None:
        # As a reading leaves it: never too late.
        verdict = replace(verdict, due_at=min(verdict.due_at, subject.due_at))
    return new, verdict
