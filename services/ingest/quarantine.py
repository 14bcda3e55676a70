"""Keeps refused readings: the same text from the same gateway for the same reason is one row that counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Boolean, DateTime, LargeBinary, Text

from services.ingest.delivery import GatewayDelivery
from services.ingest.judging import Quarantined
from services.ingest.reasons import Reason
from shared.topology import GatewayFormat

# In the order of the unique key, for writers at once. The newest detail counts, and a replay that fails waits again.
# The latest transmission is the one whose time is known, if there is one.
_KEEP = """
    INSERT INTO quarantined_reading AS kept (gateway_id, format, reason, detail, original, awaits, reading_timestamp,
                                             may_correct, seen_count, first_seen_at, last_seen_at)
    SELECT *
    FROM unnest(:gateway_ids, :formats, :reasons, :details, :originals, :awaits, :timestamps, :may_correct, :counts,
                :first_seen, :last_seen)
         AS refused (gateway_id, format, reason, detail, original, awaits, reading_timestamp, may_correct, seen_count,
                     first_seen_at, last_seen_at)
    ORDER BY gateway_id, sha256(original), reason, format
    ON CONFLICT (gateway_id, original_sha256, reason, format) DO UPDATE
    SET seen_count = kept.seen_count + {more}, first_seen_at = least(kept.first_seen_at, excluded.first_seen_at),
        last_seen_at = CASE WHEN kept.may_correct = excluded.may_correct
                            THEN greatest(kept.last_seen_at, excluded.last_seen_at)
                            WHEN kept.may_correct THEN kept.last_seen_at ELSE excluded.last_seen_at END,
        may_correct = kept.may_correct OR excluded.may_correct, detail = excluded.detail, awaits = excluded.awaits,
        reading_timestamp = excluded.reading_timestamp, replayed_at = NULL
"""
_COLUMNS = (
    bindparam("gateway_ids", type_=ARRAY(Text())),
    bindparam("formats", type_=ARRAY(Text())),
    bindparam("reasons", type_=ARRAY(Text())),
    bindparam("details", type_=ARRAY(Text())),
    bindparam("originals", type_=ARRAY(LargeBinary())),
    bindparam("awaits", type_=ARRAY(Text())),
    bindparam("timestamps", type_=ARRAY(DateTime(timezone=True))),
    bindparam("may_correct", type_=ARRAY(Boolean())),
    bindparam("counts", type_=ARRAY(BigInteger())),
    bindparam("first_seen", type_=ARRAY(DateTime(timezone=True))),
    bindparam("last_seen", type_=ARRAY(DateTime(timezone=True))),
)
KEEP = text(_KEEP.format(more="excluded.seen_count")).bindparams(*_COLUMNS)
KEEP_REPLAYED = text(_KEEP.format(more="0")).bindparams(*_COLUMNS)


@dataclass
class _Row:
    """What the same reading amounts to that was refused for the same reason several times in a batch."""

    newest: Quarantined
    first_seen: GatewayDelivery
    last_seen: GatewayDelivery
    count: int = 0

    def add(self, reading: Quarantined) -> None:
        """Take one more of the same into account."""
        self.newest = reading
        self.count += not reading.delivery.is_replay
        self.first_seen = min(self.first_seen, reading.delivery, key=lambda one: one.received_at)
        self.last_seen = max(self.last_seen, reading.delivery, key=lambda one: (one.may_correct, one.received_at))


async def keep(connection: AsyncConnection, readings: Iterable[Quarantined]) -> None:
    """Quarantine `readings`. A replay that is refused as before waits again, and raises no count."""
    rows: dict[tuple[str, GatewayFormat, Reason, str], _Row] = {}
    for one in readings:
        sent = one.delivery
        key = (sent.gateway_id, sent.format, one.refused.reason, one.original)
        rows.setdefault(key, _Row(one, sent, sent)).add(one)
    counted = [row for row in rows.values() if row.count]
    replayed = [row for row in rows.values() if not row.count]
    if counted:
        await connection.execute(KEEP, _parameters(counted))
    if replayed:
        await connection.execute(KEEP_REPLAYED, _parameters(replayed))


def _parameters(rows: Sequence[_Row]) -> dict[str, list[Any]]:
    return {
        "gateway_ids": [row.newest.delivery.gateway_id for row in rows],
        "formats": [row.newest.delivery.format.value for row in rows],
        "reasons": [row.newest.refused.reason.value for row in rows],
        "details": [row.newest.refused.detail for row in rows],
        "originals": [row.newest.original.encode() for row in rows],
        "awaits": [row.newest.refused.awaits for row in rows],
        "timestamps": [row.newest.refused.timestamp for row in rows],
        "may_correct": [row.last_seen.may_correct for row in rows],
        "counts": [max(row.count, 1) for row in rows],
        "first_seen": [row.first_seen.received_at for row in rows],
        "last_seen": [row.last_seen.received_at for row in rows],
    }
