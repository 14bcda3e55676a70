"""Folds what events tell of readings into the status of their installations; one transaction a batch of events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import DateTime, Double, SmallInteger, Text, Uuid

from services.alerts.operations.transitions import Transition, fresh_since, write
from services.alerts.queries.subjects import find
from services.alerts.rules.staleness import on_a_reading
from shared.messages.readings_stored import InstallationHeard, ReadingsStored
from shared.models import InstallationState

# In the order of the key, for replicas at once. By itself: joined to the update, it is compared pair by pair. Says when
# it has them, by the clock that all replicas share: their own may be days apart.
LOCK = text(
    "SELECT clock_timestamp(), count(*) FROM (SELECT FROM installation_status WHERE installation_id = ANY (:ids)"
    " ORDER BY installation_id FOR UPDATE) AS locked"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))

# Late and repeated news change nothing. A correction of the newest reading does, by the rule of ingest's merge: another
# value, received later. So does the event of a reading that a sweep found before it came: `reading` does not tell by
# which gateway it was heard.
IS_NEWS = """(
    status.last_reading_at IS NULL OR status.last_reading_at < heard."timestamp"
    OR status.last_reading_at = heard."timestamp" AND CASE
        WHEN status.last_value IS DISTINCT FROM heard.value THEN status.last_received_at < heard.received_at
        ELSE status.last_received_at = heard.received_at AND status.last_gateway_id IS DISTINCT FROM heard.gateway_id
    END)"""

HEARD: tuple[BindParameter[Any], ...] = (
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("gateway_ids", type_=ARRAY(Text())),
    bindparam("timestamps", type_=ARRAY(DateTime(timezone=True))),
    bindparam("values", type_=ARRAY(Double())),
    bindparam("received", type_=ARRAY(DateTime(timezone=True))),
)

# A gateway that hears a meter which another heard before, or none, may have to be heard of earlier than it seemed. Not
# at once: two that hear the same meters would be looked at in each sweep. In the ten seconds after its message no limit
# but one of seconds makes it silent. Also one that is to be looked at already is written: a sweep may have it in hand,
# and knows nothing of this meter. After the installations and in the order of the key, as `lock_statuses` in the
# database.
HAS_ANOTHER_METER = text(
    f"""
    WITH hearing AS (
        SELECT heard.gateway_id, max(heard.received_at) AS received_at
        FROM unnest(:ids, :gateway_ids, :timestamps, :values, :received)
            AS heard (installation_id, gateway_id, "timestamp", value, received_at)
        JOIN installation_status AS status ON status.installation_id = heard.installation_id
        WHERE status.last_gateway_id IS DISTINCT FROM heard.gateway_id AND {IS_NEWS}
        GROUP BY heard.gateway_id
    ), locked AS (
        SELECT gateway_id FROM gateway_status WHERE gateway_id IN (SELECT gateway_id FROM hearing)
        ORDER BY gateway_id FOR UPDATE
    )
    UPDATE gateway_status AS status
    SET due_at = least(status.due_at, coalesce(hearing.received_at + interval '10 seconds', status.registered_at))
    FROM hearing JOIN locked USING (gateway_id)
    WHERE status.gateway_id = hearing.gateway_id
    """  # noqa: S608 - the code's own text
).bindparams(*HEARD)

# `due_at` stays: a reading only ever puts off the moment at which it is to be looked at.
FOLD = text(
    f"""
    WITH folded AS (
        UPDATE installation_status AS status
        SET last_reading_at = heard."timestamp", last_value = heard.value, last_rssi_dbm = heard.rssi_dbm,
            last_battery_level_pct = heard.battery_level_pct, last_gateway_id = heard.gateway_id,
            last_received_at = heard.received_at
        FROM unnest(:ids, :gateway_ids, :timestamps, :values, :rssi, :battery, :received)
            AS heard (installation_id, gateway_id, "timestamp", value, rssi_dbm, battery_level_pct, received_at)
        WHERE status.installation_id = heard.installation_id AND {IS_NEWS}
        RETURNING status.installation_id, status.state
    )
    SELECT installation_id FROM folded WHERE state <> 'fresh'
    """  # noqa: S608 - the code's own text
).bindparams(*HEARD, bindparam("rssi", type_=ARRAY(SmallInteger())), bindparam("battery", type_=ARRAY(SmallInteger())))


async def fold(engine: AsyncEngine, events: Sequence[ReadingsStored], now: datetime | None = None) -> int:
    """Take note of what was heard; returns how many installations recovered. Safe to repeat, in any order.

    It is as of `now`: by default when the installations are locked, by the database's clock.
    """
    heard = _newest(events)
    if not heard:
        return 0
    async with engine.begin() as connection:
        locked_at = (await connection.execute(LOCK, {"ids": [one.installation_id for one in heard]})).scalar_one()
        now = now or locked_at
        columns = _columns(heard)
        await connection.execute(HAS_ANOTHER_METER, columns)
        not_fresh = (await connection.execute(FOLD, columns)).scalars().all()
        verdicts = [(subject, on_a_reading(subject.silence, now)) for subject in await find(connection, not_fresh)]
        since = await fresh_since(
            connection, [subject for subject, verdict in verdicts if verdict.state is InstallationState.FRESH]
        )
        transitions = [
            Transition(subject, verdict, since=since.get(subject.installation_id, subject.silence.state_since))
            for subject, verdict in verdicts
        ]
        await write(connection, transitions, now)
    return sum(one.changes_state and one.subject.silence.state is InstallationState.STALE for one in transitions)


def _newest(events: Sequence[ReadingsStored]) -> list[InstallationHeard]:
    newest: dict[UUID, InstallationHeard] = {}
    for event in events:
        for heard in event.installations:
            known = newest.get(heard.installation_id)
            if known is None or _age(heard) > _age(known):
                newest[heard.installation_id] = heard
    return list(newest.values())


def _age(heard: InstallationHeard) -> tuple[datetime, datetime]:
    """What orders the news of an installation: when it was read, and of two such when it was received."""
    return heard.timestamp, heard.received_at or datetime.min.replace(tzinfo=UTC)


def _columns(heard: Sequence[InstallationHeard]) -> dict[str, list[object]]:
    return {
        "ids": [one.installation_id for one in heard],
        "gateway_ids": [one.gateway_id for one in heard],
        "timestamps": [one.timestamp for one in heard],
        "values": [one.value for one in heard],
        "rssi": [one.rssi_dbm for one in heard],
        "battery": [one.battery_level_pct for one in heard],
        "received": [one.received_at for one in heard],
    }
