"""How far what the broker accepted is known to be stored, and who has messages in hand."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Pipeline(Base):
    """One row: the rounds by which alerts finds out up to when silence may be judged (docs/architecture/staleness.md).

    `round` is the newest question to ingest's sessions; who began it leads, until it has `resigned`. Everything that
    the broker accepted before `judged_until` is stored or put aside. `healthy_since` is since when nothing was wrong,
    None while something is; `cause` and `reason` say what holds judgement, None while nothing does. What
    `pipeline.degraded` told stays in `degraded_since`, `degraded_cause` and `degraded_reason` until
    `pipeline.recovered` was told.
    """

    __tablename__ = "pipeline"
    __table_args__ = (
        CheckConstraint("singleton", name="one_row"),
        CheckConstraint("(reason IS NULL) = (cause IS NULL)", name="held_for_a_cause"),
        CheckConstraint(
            "num_nulls(degraded_since, degraded_cause, degraded_reason) IN (0, 3)", name="degraded_for_a_reason"
        ),
    )

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    round: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    looked_at: Mapped[datetime | None]
    resigned: Mapped[bool] = mapped_column(server_default=text("false"))
    judged_until: Mapped[datetime | None]
    healthy_since: Mapped[datetime | None]
    cause: Mapped[str | None]
    reason: Mapped[str | None]
    degraded_since: Mapped[datetime | None]
    degraded_cause: Mapped[str | None]
    degraded_reason: Mapped[str | None]


class IngestSession(Base):
    """A channel on which a process of ingest consumes: what it has to say to the rounds.

    `round` is the newest round at whose question it had received `received` messages in all (the newest delivery tag)
    and has since dealt with all of these. `given_back` and `prioritised` count what breaks the queue's order: messages
    that went back to it, and such with a priority. `consumer` is a number that stays the same as long as the broker
    surely counts a consumer of it, None while it perhaps does not. The row goes when the channel was closed; that of a
    process which died stays until alerts knows from the broker that its connection is gone.
    """

    __tablename__ = "ingest_session"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    beat_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    round: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    received: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    given_back: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    prioritised: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    consumer: Mapped[int | None] = mapped_column(BigInteger)
