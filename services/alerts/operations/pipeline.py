"""What alerts writes of the pipeline: rounds, how judgement stands, and what operators are told of it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.events import pipeline_event
from services.alerts.operations.reporting import AT_ONCE
from services.alerts.queries.pipeline import Seen
from services.alerts.rules.judgement import Ruling
from shared.messages.alert_events import PipelineAlert, PipelineAlertEvent
from shared.models import Delivery, IngestSession, Pipeline


async def write_ruling(engine: AsyncEngine, seen: Seen, ruling: Ruling, *, next_round: bool) -> bool:
    """Write how judgement stands now, and ask ingest's sessions if this begins the `next_round`.

    Returns whether it was written: only while the round is still the one that was `seen`. Who began it leads; when
    another has begun one since, nothing of ours is written any more, however late it comes.
    """
    standing = ruling.standing
    async with engine.begin() as connection:
        written = await connection.execute(
            update(Pipeline)
            .where(Pipeline.round == seen.round)
            .values(
                round=seen.round + 1 if next_round else seen.round,
                looked_at=func.clock_timestamp(),
                judged_until=standing.judged_until,
                healthy_since=standing.healthy_since,
                reason=standing.reason,
                degraded_since=standing.degraded_since,
            )
        )
        if written.rowcount != 1:
            return False
        if ruling.told is not None:
            told = PipelineAlert(
                since=ruling.told.since, reason=ruling.told.reason, judged_until=seen.standing.judged_until
            )
            await _enqueue(connection, pipeline_event(ruling.told.kind, told, now=seen.now))
    return True


async def remove_sessions(engine: AsyncEngine, session_ids: Sequence[UUID]) -> None:
    """Forget sessions whose connections are known to be gone: the broker has taken back what they had in hand."""
    async with engine.begin() as connection:
        await connection.execute(delete(IngestSession).where(IngestSession.id.in_(session_ids)))


async def _enqueue(connection: AsyncConnection, event: PipelineAlertEvent) -> None:
    await connection.execute(
        insert(Delivery).values(
            id=UUID(event.id),
            event_type=event.type,
            event=msgspec.to_builtins(event),
            created_at=event.time,
            next_attempt_at=AT_ONCE,
        )
    )
