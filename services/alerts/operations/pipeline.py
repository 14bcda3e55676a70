"""What alerts writes of the pipeline: rounds, how judgement stands, and what operators are told of it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import delete, exists, func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.events import pipeline_event
from services.alerts.operations.telling import AT_ONCE
from services.alerts.queries.pipeline import Seen
from services.alerts.rules.judgement import Ruling
from shared.messages.alert_events import PipelineAlert, PipelineAlertEvent
from shared.models import Delivery, IngestSession, Pipeline


async def write_ruling(engine: AsyncEngine, seen: Seen, ruling: Ruling, *, next_round: bool, resigns: bool) -> bool:
    """Write how judgement stands now, and ask ingest's sessions if this begins the `next_round`.

    Who `resigns` leads no longer: another replica may take over at once.
    Returns whether it was written: only while the round is still the one that was `seen`. Who began it leads; when
    another has begun one since, nothing of ours is written any more, however late it comes.
    """
    standing = ruling.standing
    trouble, degraded = standing.trouble, standing.degraded
    async with engine.begin() as connection:
        written = await connection.execute(
            update(Pipeline)
            .where(Pipeline.round == seen.round)
            .values(
                round=seen.round + 1 if next_round else seen.round,
                looked_at=func.clock_timestamp(),
                resigned=resigns,
                judged_until=standing.judged_until,
                healthy_since=standing.healthy_since,
                cause=trouble and trouble.cause.value,
                reason=trouble and trouble.words,
                degraded_since=degraded and degraded.since,
                degraded_cause=degraded and degraded.trouble.cause.value,
                degraded_reason=degraded and degraded.trouble.words,
            )
        )
        if written.rowcount != 1:
            return False
        if ruling.told is not None:
            of = ruling.told.degradation
            told = PipelineAlert(
                since=of.since,
                cause=of.trouble.cause,
                reason=of.trouble.words,
                judged_until=seen.standing.judged_until,
            )
            await _enqueue(connection, pipeline_event(ruling.told.kind, told, now=seen.now))
    return True


async def resign(engine: AsyncEngine, round_: int) -> None:
    """Say that who began the round leads no longer; nothing where it does not lead anyway."""
    async with engine.begin() as connection:
        await connection.execute(update(Pipeline).where(Pipeline.round == round_).values(resigned=True))


async def remove_sessions(engine: AsyncEngine, session_ids: Sequence[UUID], round_: int) -> None:
    """Forget sessions whose connections are known to be gone: the broker has taken back what they had in hand.

    Only while the round is this one: another leader would not know that one has gone.
    """
    leads = exists().where(Pipeline.round == round_)
    async with engine.begin() as connection:
        await connection.execute(delete(IngestSession).where(IngestSession.id.in_(session_ids), leads))


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
