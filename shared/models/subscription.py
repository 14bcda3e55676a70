"""Who wants to be told of alerts by webhook or mail, and of which."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base
from shared.models.meter_installation import one_of


class DisabledBecause(StrEnum):
    """Why nothing is sent to a subscription."""

    BY_HAND = "by_hand"
    UNSUBSCRIBED = "unsubscribed"
    GONE = "gone"
    FAILING = "failing"


class Subscription(Base):
    """A webhook or a mail address that is told of a tenant's alerts: of each filter any, and all where it is empty.

    `failures` counts those since the last success, the first of which was at `failing_since`; until `held_until`
    nothing is tried. Who sends to it has it to himself until `claimed_until`. A removed one keeps its row, for the log.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint("num_nonnulls(url, mail_address) = 1", name="one_way"),
        CheckConstraint("(mail_address IS NULL) = (language IS NULL)", name="mail_has_a_language"),
        CheckConstraint(
            "enabled = (disabled_at IS NULL) AND enabled = (disabled_because IS NULL)", name="disabled_for_a_reason"
        ),
        CheckConstraint(one_of("disabled_because", DisabledBecause), name="disabled_because_is_known"),
        Index("ix_subscription_tenant_id", "tenant_id", "id", postgresql_where=text("deleted_at IS NULL")),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    url: Mapped[str | None]
    mail_address: Mapped[str | None]
    language: Mapped[str | None]
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=text("'{}'::text[]"))
    property_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default=text("'{}'::uuid[]"))
    media: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=text("'{}'::text[]"))
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled_at: Mapped[datetime | None]
    disabled_because: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    failing_since: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_by: Mapped[str | None]
    deleted_at: Mapped[datetime | None]


class SubscriptionSecret(Base):
    """What a webhook's messages are signed with: the one that does not expire, and for a while those before it."""

    __tablename__ = "subscription_secret"
    __table_args__ = (
        Index(
            "uq_subscription_secret_newest",
            "subscription_id",
            unique=True,
            postgresql_where=text("expires_at IS NULL"),
        ),
        Index("ix_subscription_secret_subscription_id", "subscription_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscription.id"))
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime | None]
