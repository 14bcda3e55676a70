"""Readings, what corrected them, and what was refused."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Computed,
    Double,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Reading(Base):
    """What a meter showed at a time. Append-only.

    No foreign key: ingest finds the installation before it writes, installations are never removed, and the key
    would cost a third of the write speed (docs/architecture/storage.md).

    `batch` is the number of the `ChangeBatch` that stored or last corrected it; 0 where that was before there were any.
    """

    __tablename__ = "reading"
    __table_args__ = (
        # With the value, so that what a meter counted is read from the index alone (docs/architecture/storage.md).
        PrimaryKeyConstraint("meter_installation_id", "timestamp", postgresql_include=["value"]),
        # Next to nothing beside a B-tree; by several ranges of a block of pages, since new rows take the places of old
        # ones (docs/architecture/changes.md).
        Index(
            None,
            "batch",
            postgresql_using="brin",
            postgresql_ops={"batch": "int8_minmax_multi_ops"},
            postgresql_with={"pages_per_range": 32},
        ),
    )

    meter_installation_id: Mapped[UUID] = mapped_column(primary_key=True)
    timestamp: Mapped[datetime] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Double)
    received_at: Mapped[datetime]
    rssi_dbm: Mapped[int | None] = mapped_column(SmallInteger)
    battery_level_pct: Mapped[int | None] = mapped_column(SmallInteger)
    batch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class ReadingCorrection(Base):
    """A value that a later transmission replaced; written by a trigger on `reading`, so none is missed."""

    __tablename__ = "reading_correction"
    __table_args__ = (Index(None, "meter_installation_id", "timestamp"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    meter_installation_id: Mapped[UUID]
    timestamp: Mapped[datetime]
    old_value: Mapped[float] = mapped_column(Double)
    new_value: Mapped[float] = mapped_column(Double)
    old_received_at: Mapped[datetime]
    new_received_at: Mapped[datetime]
    corrected_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class QuarantinedReading(Base):
    """A reading that could not be stored, with the reason and its original text, until it is replayed or discarded.

    `original` is bytes: it must hold anything that a gateway can send; it is a message in itself, of `format` (the last
    part of the routing key). The same text for the same reason is one row whose `seen_count` grows. `gateway_id` is the
    sender by its routing key; it need not be registered.

    `last_seen_at` is when the latest transmission was received; where `may_correct` is false nobody knows whether it
    was earlier, and a replay corrects nothing. `replayed_at` is empty again when a replay was refused again.
    """

    __tablename__ = "quarantined_reading"
    __table_args__ = (
        Index("uq_quarantined_reading_original", "gateway_id", "original_sha256", "reason", "format", unique=True),
        Index(None, "first_seen_at"),
        # Ingest walks along it to see whether what a reading waits for has come (services/ingest/waiting.py).
        Index(
            "ix_quarantined_reading_awaits",
            "gateway_id",
            "format",
            "reason",
            "awaits",
            "reading_timestamp",
            postgresql_where=text("replayed_at IS NULL AND awaits IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    gateway_id: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    original: Mapped[bytes] = mapped_column(LargeBinary)
    original_sha256: Mapped[bytes] = mapped_column(LargeBinary, Computed("sha256(original)", persisted=True))
    first_seen_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_seen_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    seen_count: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    replayed_at: Mapped[datetime | None]
    format: Mapped[str] = mapped_column(server_default=text("'readings'"))
    may_correct: Mapped[bool] = mapped_column(server_default=true())
    awaits: Mapped[str | None]
    reading_timestamp: Mapped[datetime | None]
    auto_replayed_at: Mapped[datetime | None]
