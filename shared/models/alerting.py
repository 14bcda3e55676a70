"""What alerts says: the alerts, and the events on their way out."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base
from shared.models.meter_installation import one_of


class AlertType(StrEnum):
    """What an alert is about; the type of the event that opens it."""

    INSTALLATION_STALE = "installation.stale"
    GATEWAY_SILENT = "gateway.silent"


class OpenedBecause(StrEnum):
    """Why an alert was opened. Only silence is news: of a change of rules nobody is told, they made it."""

    SILENCE = "silence"
    RULES_CHANGED = "rules_changed"


class ClosedBecause(StrEnum):
    """Why an alert was closed. Only being heard is news, and only where the silence was."""

    HEARD = "heard"
    RULES_CHANGED = "rules_changed"
    REMOVED = "removed"


class Alert(Base):
    """A silence of an installation or of a gateway: open until it is heard again.

    `since` is when the silence began: the last reading, or what else it counts from. `reminded_at` is when subscribers
    were told last that it lasts, other than by its beginning.
    """

    __tablename__ = "alert"
    __table_args__ = (
        CheckConstraint("type IN ('installation.stale', 'gateway.silent')", name="type_is_known"),
        CheckConstraint(
            "(type = 'installation.stale') = (installation_id IS NOT NULL)"
            " AND (type = 'gateway.silent') = (gateway_id IS NOT NULL)",
            name="subject_fits_type",
        ),
        CheckConstraint("opened_because IN ('silence', 'rules_changed')", name="opened_because_is_known"),
        CheckConstraint("closed_because IN ('heard', 'rules_changed', 'removed')", name="closed_because_is_known"),
        CheckConstraint("(closed_at IS NULL) = (closed_because IS NULL)", name="closed_for_a_reason"),
        CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged_by_somebody"),
        CheckConstraint("(snoozed_until IS NULL) = (snoozed_by IS NULL)", name="snoozed_by_somebody"),
        Index("uq_alert_open", "installation_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("uq_alert_open_gateway", "gateway_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index(None, "tenant_id", "opened_at", "id"),
        # Of all that there ever were they are few.
        Index("ix_alert_open", "tenant_id", "opened_at", "id", postgresql_where=text("closed_at IS NULL")),
        *(
            Index(f"ix_alert_{name}", "tenant_id", "opened_at", "id", postgresql_where=text(few))
            for name, few in (
                ("gateway_silent", "type = 'gateway.silent'"),
                ("acknowledged", "acknowledged_at IS NOT NULL"),
                ("snoozed", "snoozed_until IS NOT NULL"),
            )
        ),
        Index(
            "ix_alert_to_remind",
            "tenant_id",
            text("greatest(opened_at, reminded_at)"),
            postgresql_where=text("closed_at IS NULL AND acknowledged_at IS NULL AND opened_because = 'silence'"),
        ),
        Index("ix_alert_installation_id", "installation_id", "opened_at"),
        Index("ix_alert_gateway_id", "gateway_id", "opened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    type: Mapped[str]
    installation_id: Mapped[UUID | None] = mapped_column(ForeignKey("meter_installation.id"))
    gateway_id: Mapped[str | None] = mapped_column(ForeignKey("gateway.id"))
    since: Mapped[datetime]
    last_reading_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    opened_because: Mapped[str]
    closed_at: Mapped[datetime | None]
    closed_because: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledge_note: Mapped[str | None]
    snoozed_until: Mapped[datetime | None]
    snoozed_by: Mapped[str | None]
    reminded_at: Mapped[datetime | None]


class DroppedBecause(StrEnum):
    """Why a delivery to a subscription is tried no more."""

    GAVE_UP = "gave_up"
    DISABLED = "disabled"
    MAINTENANCE = "maintenance"
    OVER = "over"


PENDING = "delivered_at IS NULL AND dropped_at IS NULL"
HEADS = "(digest_id IS NULL OR digest_id = id)"
UNNUMBERED = "number IS NULL AND subscription_id IS NULL AND tenant_id IS NOT NULL"


class Delivery(Base):
    """An event on its way out, made in the transaction of its transition: one row for each place it is to reach.

    Without `subscription_id` that is the exchange `alerts`, and the id is the event's id; an event of the pipeline has
    neither alert nor tenant: it is for operators. With one it is that webhook or mail, tried since `wanted_since`.
    Several that go out as one have the `digest_id` of the first of them, which is what is tried; `held_by` is the
    maintenance window that it waits for. It ends by being delivered or dropped.

    `attempts` counts those that failed; `next_attempt_at` is when it is tried next. `position` is the order in which
    they were made, and `number` that of the tenant's live stream: given after the commit, to those of the exchange.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint(
            "CASE WHEN subscription_id IS NULL THEN (alert_id IS NULL) = (tenant_id IS NULL)"
            " ELSE tenant_id IS NOT NULL AND wanted_since IS NOT NULL END",
            name="of_a_tenant_or_of_operators",
        ),
        CheckConstraint("(dropped_at IS NULL) = (dropped_because IS NULL)", name="dropped_for_a_reason"),
        CheckConstraint(one_of("dropped_because", DroppedBecause), name="dropped_because_is_known"),
        CheckConstraint("delivered_at IS NULL OR dropped_at IS NULL", name="one_end"),
        Index(
            "ix_delivery_pending",
            "next_attempt_at",
            postgresql_where=text("subscription_id IS NULL AND delivered_at IS NULL"),
        ),
        Index(
            "ix_delivery_due",
            "subscription_id",
            "next_attempt_at",
            postgresql_where=text(f"subscription_id IS NOT NULL AND {PENDING} AND {HEADS}"),
        ),
        Index(
            "ix_delivery_on_its_way",
            "subscription_id",
            "next_attempt_at",
            "position",
            postgresql_where=text(f"subscription_id IS NOT NULL AND {PENDING} AND digest_id = id"),
        ),
        Index("ix_delivery_delivered", "delivered_at", postgresql_where=text("delivered_at IS NOT NULL")),
        Index("ix_delivery_dropped", "dropped_at", postgresql_where=text("dropped_at IS NOT NULL")),
        Index("ix_delivery_alert_id", "alert_id"),
        Index("ix_delivery_digest_id", "digest_id", postgresql_where=text("digest_id IS NOT NULL")),
        Index("ix_delivery_held_by", "held_by", postgresql_where=text("held_by IS NOT NULL")),
        *(
            Index(
                f"ix_delivery_{name}",
                *of.split(),
                "created_at",
                "position",
                postgresql_where=text(f"subscription_id IS NOT NULL{state}"),
            )
            for name, of, state in (
                ("log", "tenant_id", ""),
                ("log_pending", "subscription_id", f" AND {PENDING}"),
                ("log_pending_type", "subscription_id event_type", f" AND {PENDING}"),
                ("log_delivered", "subscription_id", " AND delivered_at IS NOT NULL"),
                ("log_delivered_type", "subscription_id event_type", " AND delivered_at IS NOT NULL"),
                ("log_dropped", "subscription_id", " AND dropped_at IS NOT NULL"),
                ("log_dropped_type", "subscription_id event_type", " AND dropped_at IS NOT NULL"),
            )
        ),
        Index("uq_delivery_number", "tenant_id", "number", unique=True, postgresql_where=text("number IS NOT NULL")),
        Index("ix_delivery_unnumbered", "position", postgresql_where=text(UNNUMBERED)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    number: Mapped[int | None] = mapped_column(BigInteger)
    alert_id: Mapped[UUID | None] = mapped_column(ForeignKey("alert.id"))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenant.id"))
    subscription_id: Mapped[UUID | None] = mapped_column(ForeignKey("subscription.id"))
    event_type: Mapped[str]
    event: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    wanted_since: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    digest_id: Mapped[UUID | None]
    held_by: Mapped[UUID | None]
    last_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    last_error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
    dropped_at: Mapped[datetime | None]
    dropped_because: Mapped[str | None]
