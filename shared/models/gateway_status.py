"""When each gateway was last heard, and what alerts thinks of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class GatewayHeard(Base):
    """When the newest message of a gateway was received. Written by ingest, before it acknowledges the message.

    No row: it was never heard. A table of its own, so that ingest never waits for a lock that alerts holds.
    """

    __tablename__ = "gateway_heard"

    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"), primary_key=True)
    heard_at: Mapped[datetime]


class GatewayState(StrEnum):
    """Whether a gateway has been heard within its limit; a new one counts as heard when it was registered."""

    HEARD = "heard"
    SILENT = "silent"


class GatewayStatus(Base):
    """What alerts thinks of a gateway. A trigger makes the row at registration; after that only alerts writes it.

    `due_at` is as that of an installation: when alerts looks at it again, never later than the moment at which it falls
    silent. A silent one has none, unless rules changed or it is to be removed: being heard ends that.
    """

    __tablename__ = "gateway_status"
    __table_args__ = (
        CheckConstraint("state IN ('heard', 'silent')", name="state_is_known"),
        Index("ix_gateway_status_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_gateway_status_silent", "gateway_id", postgresql_where=text("state = 'silent'")),
    )

    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), index=True)
    registered_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    state: Mapped[str] = mapped_column(server_default=text("'heard'"))
    state_since: Mapped[datetime] = mapped_column(server_default=text("now()"))
    due_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    heard_at: Mapped[datetime | None]
    """When it had been heard last, as it was judged: what `gateway_heard` says beyond that is new to alerts."""
    rules_changed_at: Mapped[datetime | None]
    """As that of an installation."""
    alert_id: Mapped[UUID | None] = mapped_column(ForeignKey("alert.id"))
    """The open alert."""
