"""When a tenant expects silence and wants to hear nothing of it: once, or again and again."""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, SmallInteger, Time, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class MaintenanceWindow(Base):
    """A time in which nobody is told that something fell silent.

    It is of an installation, of those of a property, of a gateway with those behind it, or, where none of these is
    named, of all of the tenant.

    Either once, from `starts_at` until `ends_at`; or on `weekdays` (1 is Monday, ISO 8601), from `from_time` until
    `until_time` (of the next day where it is the earlier one; all day where both are null), on days from `valid_from`
    to `valid_until`, both included, in `time_zone`, or the tenant's where that is null.
    """

    __tablename__ = "maintenance_window"
    __table_args__ = (
        CheckConstraint("num_nonnulls(installation_id, property_id, gateway_id) <= 1", name="one_target"),
        CheckConstraint("weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]", name="weekdays_exist"),
        CheckConstraint("(starts_at IS NULL) = (cardinality(weekdays) > 0)", name="once_or_recurring"),
        CheckConstraint(
            "starts_at IS NULL AND ends_at IS NULL"
            " OR starts_at IS NOT NULL AND ends_at IS NOT NULL AND starts_at < ends_at",
            name="times_are_a_range",
        ),
        CheckConstraint(
            "from_time IS NULL AND until_time IS NULL"
            " OR from_time IS NOT NULL AND until_time IS NOT NULL AND from_time <> until_time",
            name="hours_are_a_range",
        ),
        CheckConstraint("valid_from <= valid_until", name="dates_are_a_range"),
        CheckConstraint(
            "starts_at IS NULL OR num_nonnulls(from_time, until_time, valid_from, valid_until, time_zone) = 0",
            name="once_has_no_hours",
        ),
        Index("ix_maintenance_window_tenant_id", "tenant_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    installation_id: Mapped[UUID | None] = mapped_column(ForeignKey("meter_installation.id"))
    property_id: Mapped[UUID | None] = mapped_column(ForeignKey("property.id"))
    gateway_id: Mapped[str | None] = mapped_column(ForeignKey("gateway.id"))
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    weekdays: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default=text("'{}'::smallint[]"))
    from_time: Mapped[time | None] = mapped_column(Time)
    until_time: Mapped[time | None] = mapped_column(Time)
    valid_from: Mapped[date | None] = mapped_column(Date)
    valid_until: Mapped[date | None] = mapped_column(Date)
    time_zone: Mapped[str | None]
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_by: Mapped[str | None]
