"""What alerts knows and says: the status of each installation, the alerts, and their deliveries."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class InstallationState(StrEnum):
    """Whether an installation has been heard within its limit."""

    NEVER_SEEN = "never_seen"
    FRESH = "fresh"
    STALE = "stale"


class InstallationStatus(Base):
    """When an installation was last heard, by the reading's own timestamp, and what alerts thinks of it.

    A trigger makes the row when the installation is registered; after that only alerts writes it. `due_at` is when
    alerts looks at it again: never later than the moment at which it would turn stale, but often earlier, because a
    reading does not move it (docs/architecture/staleness.md). A stale one has none: only a reading ends that.
    """

    __tablename__ = "installation_status"
    __table_args__ = (
        CheckConstraint("state IN ('never_seen', 'fresh', 'stale')", name="state_is_known"),
        Index("ix_installation_status_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_installation_status_longest_silent",
            "tenant_id",
            text("last_reading_at NULLS FIRST"),
            "installation_id",
        ),
        # They are few.
        Index(
            "ix_installation_status_not_fresh",
            "tenant_id",
            "state",
            text("last_reading_at NULLS FIRST"),
            "installation_id",
            postgresql_where=text("state <> 'fresh'"),
        ),
    )

    installation_id: Mapped[UUID] = mapped_column(ForeignKey("meter_installation.id"), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    state: Mapped[str] = mapped_column(server_default=text("'never_seen'"))
    state_since: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_reading_at: Mapped[datetime | None]
    last_value: Mapped[float | None] = mapped_column(Double)
    last_rssi_dbm: Mapped[int | None] = mapped_column(SmallInteger)
    last_battery_level_pct: Mapped[int | None] = mapped_column(SmallInteger)
    last_gateway_id: Mapped[str | None]
    last_received_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]


class Alert(Base):
    """A silence that was reported: open until the installation is heard again."""

    __tablename__ = "alert"
    __table_args__ = (
        Index("uq_alert_open", "installation_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index(None, "tenant_id", "opened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    installation_id: Mapped[UUID] = mapped_column(ForeignKey("meter_installation.id"))
    opened_at: Mapped[datetime]
    last_reading_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class Delivery(Base):
    """An alert event on its way out, made in the transaction of its transition. Its id is the event's id.

    `attempts` counts those that the broker refused; `next_attempt_at` is when it is tried next.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        Index("ix_delivery_pending", "next_attempt_at", postgresql_where=text("delivered_at IS NULL")),
        Index(None, "alert_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alert.id"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    event_type: Mapped[str]
    event: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    delivered_at: Mapped[datetime | None]
