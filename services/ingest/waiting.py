"""Finds the quarantined readings for which has come what they waited for: a gateway, or an installation.

It looks at the registry as it is, and so finds every change of it, whoever made it. Gateways hear all the meters of a
street, and most of what waits waits for ever: the cost goes with how many different things are waited for, not with
the number of readings, because the walk along the index skips from one to the next.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Interval, Text

from services.ingest.reasons import Reason
from services.ingest.registry import EARLY_TOLERANCE
from services.ingest.verdicts import FUTURE_TOLERANCE

KEYS_A_STEP = 5_000
READINGS_A_STEP = 1_000

ONCE_IN = timedelta(hours=1)
"""A reading that came back is tried again by itself only after this: whatever it is, it must not go round and round."""

OF_GATEWAY = (Reason.UNKNOWN_GATEWAY, Reason.GATEWAY_DISABLED)
"""These wait for the gateway itself, all others for an installation."""

# `come` says which times of what is waited for would be taken now. That is decided as in verdicts.py: an installation
# named by its id by its dates; of a serial the one that had it then, and before all of them the one that has it now,
# else the last that had it; a gateway that is out of use until then. The serial of a telegram as in wmbus/readings.py.
FIND = text(
    """
    WITH RECURSIVE walk AS (
        (SELECT gateway_id, format, reason, awaits
         FROM quarantined_reading
         WHERE replayed_at IS NULL AND awaits IS NOT NULL
           AND (gateway_id, format, reason, awaits) > (:gateway_id, :format, :reason, :awaits)
         ORDER BY gateway_id, format, reason, awaits
         LIMIT 1)
        UNION ALL
        SELECT next.gateway_id, next.format, next.reason, next.awaits
        FROM walk CROSS JOIN LATERAL (
            SELECT q.gateway_id, q.format, q.reason, q.awaits
            FROM quarantined_reading q
            WHERE q.replayed_at IS NULL AND q.awaits IS NOT NULL
              AND (q.gateway_id, q.format, q.reason, q.awaits)
                  > (walk.gateway_id, walk.format, walk.reason, walk.awaits)
            ORDER BY q.gateway_id, q.format, q.reason, q.awaits
            LIMIT 1
        ) AS next
    ),
    step AS MATERIALIZED (SELECT gateway_id, format, reason, awaits FROM walk LIMIT :keys),
    heard AS (
        SELECT step.*, gateway.tenant_id, step.reason = ANY (:of_gateway) AS of_gateway,
               coalesce(gateway.deleted_at + :late_tolerance + interval '1 microsecond', 'infinity') AS before
        FROM step JOIN gateway ON gateway.id = step.gateway_id
    ),
    come (gateway_id, format, reason, awaits, since, before) AS (
        SELECT gateway_id, format, reason, awaits, '-infinity'::timestamptz, before FROM heard WHERE of_gateway
        UNION ALL
        SELECT h.gateway_id, h.format, h.reason, h.awaits, i.installed_at - :early_tolerance,
               least(i.deleted_at, h.before)
        FROM heard h JOIN meter_installation i
          ON i.tenant_id = h.tenant_id
         AND i.id = CASE WHEN h.awaits ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN h.awaits::uuid END
        WHERE NOT h.of_gateway
        UNION ALL
        SELECT h.gateway_id, h.format, h.reason, h.awaits,
               CASE WHEN i.deleted_at IS NULL
                      OR NOT EXISTS (SELECT FROM meter_installation later
                                     WHERE later.tenant_id = i.tenant_id AND later.meter_serial = i.meter_serial
                                       AND (later.deleted_at IS NULL OR later.installed_at > i.installed_at))
                    THEN i.installed_at - :early_tolerance ELSE i.installed_at END,
               least(i.deleted_at, h.before)
        FROM heard h
        CROSS JOIN LATERAL (
            SELECT spelled.serial
            FROM unnest(CASE h.format WHEN 'wmbus' THEN ARRAY[h.awaits, lower(h.awaits), upper(h.awaits)]
                                      ELSE ARRAY[h.awaits] END) WITH ORDINALITY AS spelled (serial, place)
            WHERE EXISTS (SELECT FROM meter_installation any_one
                          WHERE any_one.tenant_id = h.tenant_id AND any_one.meter_serial = spelled.serial)
            ORDER BY spelled.place
            LIMIT 1
        ) AS known
        JOIN meter_installation i ON i.tenant_id = h.tenant_id AND i.meter_serial = known.serial
        WHERE NOT h.of_gateway
    ),
    found AS (
        SELECT ready.id
        FROM come CROSS JOIN LATERAL (
            SELECT q.id
            FROM quarantined_reading q
            WHERE q.replayed_at IS NULL AND q.awaits IS NOT NULL
              AND q.gateway_id = come.gateway_id AND q.format = come.format AND q.reason = come.reason
              AND q.awaits = come.awaits AND q.reading_timestamp >= come.since AND q.reading_timestamp < come.before
              AND (q.auto_replayed_at IS NULL OR q.auto_replayed_at < :tried_before)
            ORDER BY q.reading_timestamp
            LIMIT :readings
        ) AS ready
        LIMIT :readings
    )
    SELECT gateway_id, format, reason, awaits, (SELECT count(*) FROM step) AS keys,
           (SELECT array_agg(DISTINCT id) FROM found) AS found
    FROM step
    ORDER BY gateway_id DESC, format DESC, reason DESC, awaits DESC
    LIMIT 1
    """
).bindparams(
    bindparam("of_gateway", type_=ARRAY(Text())),
    bindparam("early_tolerance", type_=Interval()),
    bindparam("late_tolerance", type_=Interval()),
    bindparam("tried_before", type_=DateTime(timezone=True)),
)


class Awaited(NamedTuple):
    """What readings of a gateway wait for; the order of these is that of the walk."""

    gateway_id: str
    format: str
    reason: str
    awaits: str


BEGINNING = Awaited("", "", "", "")


class Step(NamedTuple):
    """A part of the walk: the readings found in it, at most `READINGS_A_STEP`, and where the next part begins."""

    found: list[int]
    next: Awaited


async def find_ready(connection: AsyncConnection, after: Awaited, now: datetime) -> Step:
    """Look at the next `KEYS_A_STEP` things that are waited for; the last part is followed by the beginning."""
    # Compiling would take longer than the statement does.
    await connection.execute(text("SET LOCAL jit = off"))
    parameters = {
        **after._asdict(),
        "keys": KEYS_A_STEP,
        "readings": READINGS_A_STEP,
        "of_gateway": [reason.value for reason in OF_GATEWAY],
        "early_tolerance": EARLY_TOLERANCE,
        "late_tolerance": FUTURE_TOLERANCE,
        "tried_before": now - ONCE_IN,
    }
    last = (await connection.execute(FIND, parameters)).one_or_none()
    if last is None:
        return Step([], BEGINNING)
    is_last_step = last.keys < KEYS_A_STEP
    following = BEGINNING if is_last_step else Awaited(last.gateway_id, last.format, last.reason, last.awaits)
    return Step(last.found or [], following)
