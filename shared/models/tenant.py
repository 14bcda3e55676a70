"""A tenant: a customer. Nothing of one is ever visible to another."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, Interval, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Tenant(Base):
    """A customer. `stale_after` is how long an installation may be silent before it counts as stale."""

    __tablename__ = "tenant"
    __table_args__ = (
        CheckConstraint("stale_after > interval '0'", name="stale_after_positive"),
        # A longer one reaches beyond the calendar, and then nothing of anyone could be judged.
        CheckConstraint("stale_after <= interval '10 years'", name="stale_after_bounded"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default=text("'Europe/Copenhagen'"))
    stale_after: Mapped[timedelta] = mapped_column(Interval, server_default=text("'48 hours'"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
