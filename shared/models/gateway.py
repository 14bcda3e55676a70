"""A gateway: the device on a property that hears meters."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Interval
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Gateway(Base):
    """A gateway of a tenant. Its id is unique over all tenants, because it is part of a routing key."""

    __tablename__ = "gateway"
    __table_args__ = (
        CheckConstraint("id ~ '^[A-Za-z0-9_-]{1,64}$'", name="id_fits_a_routing_key"),
        CheckConstraint("silent_after > interval '0'", name="silent_after_positive"),
        # A longer one reaches beyond the calendar, and then nothing of anyone could be judged.
        CheckConstraint("silent_after <= interval '10 years'", name="silent_after_bounded"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), index=True)
    name: Mapped[str]
    silent_after: Mapped[timedelta | None] = mapped_column(Interval)
    deleted_at: Mapped[datetime | None]
