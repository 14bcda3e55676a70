"""Keeps refused readings: the same text from the same gateway for the same reason is one row that counts."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, DateTime, LargeBinary, Text

from services.ingest.judging import Quarantined

# In the order of the unique key, for writers at once; the newest detail counts, and a replay that fails waits again.
KEEP = text(
    """
    INSERT INTO quarantined_reading AS kept (gateway_id, reason, detail, original, seen_count, first_seen_at,
                                             last_seen_at)
    SELECT gateway_id, reason, detail, original, seen_count, :now, :now
    FROM unnest(:gateway_ids, :reasons, :details, :originals, :counts)
         AS refused (gateway_id, reason, detail, original, seen_count)
    ORDER BY gateway_id, sha256(original), reason
    ON CONFLICT (gateway_id, original_sha256, reason) DO UPDATE
    SET seen_count = kept.seen_count + excluded.seen_count, last_seen_at = excluded.last_seen_at,
        detail = excluded.detail, replayed_at = NULL
    """
).bindparams(
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("gateway_ids", type_=ARRAY(Text())),
    bindparam("reasons", type_=ARRAY(Text())),
    bindparam("details", type_=ARRAY(Text())),
    bindparam("originals", type_=ARRAY(LargeBinary())),
    bindparam("counts", type_=ARRAY(BigInteger())),
)


async def keep(connection: AsyncConnection, readings: Iterable[Quarantined], now: datetime) -> None:
    """Quarantine `readings`."""
    counts: Counter[tuple[str, str, str]] = Counter()
    details: dict[tuple[str, str, str], str] = {}
    for reading in readings:
        key = (reading.delivery.gateway_id, reading.refused.reason.value, reading.original)
        counts[key] += 1
        details[key] = reading.refused.detail
    if not counts:
        return
    keys = list(counts)
    await connection.execute(
        KEEP,
        {
            "now": now,
            "gateway_ids": [gateway_id for gateway_id, _, _ in keys],
            "reasons": [reason for _, reason, _ in keys],
            "details": [details[key] for key in keys],
            "originals": [original.encode() for _, _, original in keys],
            "counts": [counts[key] for key in keys],
        },
    )
