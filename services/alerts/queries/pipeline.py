"""What alerts reads of the pipeline: how judgement stands, and what ingest's sessions have to say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.rules.frontier import Answer
from services.alerts.rules.judgement import Degradation, Standing, Trouble, is_kept
from shared.messages.alert_events import PipelineCause
from shared.models import IngestSession, Pipeline


@dataclass(frozen=True)
class Seen:
    """The pipeline at `now`, by the database's clock, which is the same for every replica.

    `resigned` is whether who began the round does not lead any more.
    """

    now: datetime
    round: int
    looked_at: datetime | None
    resigned: bool
    standing: Standing

    @property
    def judge_until(self) -> datetime | None:
        """Up to when silence may be judged now; None while judgement is held.

        A row that nobody keeps allows nothing: what it says was true when somebody looked.
        """
        if self.looked_at is None or not is_kept(self.looked_at, self.now) or self.standing.trouble is not None:
            return None
        return self.standing.judged_until

    @property
    def in_words(self) -> str:
        """The same, and why, for an operator."""
        if self.judge_until is not None:
            return f"judged until {self.judge_until.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        return f"held: {self.standing.in_words or 'nobody looks at the pipeline'}"


@dataclass(frozen=True)
class Session:
    """A session of ingest: the newest round that it has answered, and what it said."""

    round: int
    silent_for_s: float
    answer: Answer


async def read_pipeline(engine: AsyncEngine) -> Seen:
    """How judgement stands."""
    async with engine.connect() as connection:
        found = await connection.execute(
            select(
                func.clock_timestamp().label("now"),
                Pipeline.round,
                Pipeline.looked_at,
                Pipeline.resigned,
                Pipeline.judged_until,
                Pipeline.healthy_since,
                Pipeline.cause,
                Pipeline.reason,
                Pipeline.degraded_since,
                Pipeline.degraded_cause,
                Pipeline.degraded_reason,
            )
        )
        row = found.one()
    degraded = _trouble(row.degraded_cause, row.degraded_reason)
    standing = Standing(
        judged_until=row.judged_until,
        healthy_since=row.healthy_since,
        trouble=_trouble(row.cause, row.reason),
        degraded=None if degraded is None else Degradation(row.degraded_since, degraded),
    )
    return Seen(now=row.now, round=row.round, looked_at=row.looked_at, resigned=row.resigned, standing=standing)


def _trouble(cause: str | None, words: str | None) -> Trouble | None:
    return None if cause is None or words is None else Trouble(PipelineCause(cause), words)


async def read_sessions(engine: AsyncEngine) -> Mapping[UUID, Session]:
    """All of ingest's sessions, of one moment."""
    silent_for = func.extract("epoch", func.clock_timestamp() - IngestSession.beat_at)
    async with engine.connect() as connection:
        found = await connection.execute(
            select(
                IngestSession.id,
                IngestSession.round,
                IngestSession.received,
                IngestSession.given_back,
                IngestSession.prioritised,
                IngestSession.consumer,
                silent_for.label("silent_for"),
            )
        )
        return {
            row.id: Session(
                row.round,
                float(row.silent_for),
                Answer(row.received, row.given_back, row.prioritised, row.consumer),
            )
            for row in found
        }
