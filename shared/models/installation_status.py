"""When each installation was last heard, and what alerts thinks of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, SmallInteger, text
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
    alerts looks at it again: never later than the moment at which something falls due, but often earlier, because a
    reading does not move it (docs/architecture/staleness.md). None where only a reading, or a change of rules or of
    the registry, can make a difference.
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
    registered_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    """A policy's grace counts from here, or from `installed_at` where that is later."""
    judged_from: Mapped[datetime | None]
    """Silence counts from no earlier than this: its gateway was silent until then."""
    rules_changed_at: Mapped[datetime | None]
    """Up to when silence had been judged when its rules changed: what is due by then is the change's doing."""
    alert_id: Mapped[UUID | None] = mapped_column(ForeignKey("alert.id"))
    """The open alert."""
