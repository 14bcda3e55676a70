"""When silence is too long: what a tenant decided for all of it, a medium, a property or one installation."""

from datetime import datetime, time, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Interval, SmallInteger, Time, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base
from shared.models.meter_installation import Medium, one_of


class Policy(Base):
    """A rule of staleness.

    Of those that hold for an installation the most specific wins, whole: installation, property, medium, tenant;
    without any, the tenant's `stale_after`.

    `quiet_weekdays` (1 is Monday, ISO 8601) and the hours from `quiet_from` until `quiet_until` (over midnight where
    it is the earlier one) do not count, in `time_zone`, or the tenant's where that is null. `grace` is how long a new
    installation is never stale. `remind_every` is after how long subscribers are told again of a silence that lasts;
    null: never.
    """

    __tablename__ = "policy"
    __table_args__ = (
        CheckConstraint("num_nonnulls(installation_id, property_id, medium) <= 1", name="one_target"),
        CheckConstraint(f"medium IS NULL OR {one_of('medium', Medium)}", name="medium_is_known"),
        CheckConstraint("stale_after > interval '0' AND stale_after <= interval '10 years'", name="limit_bounded"),
        CheckConstraint("grace >= interval '0' AND grace <= interval '10 years'", name="grace_bounded"),
        CheckConstraint(
            "remind_every >= interval '1 hour' AND remind_every <= interval '90 days'", name="reminders_bounded"
        ),
        CheckConstraint("quiet_weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]", name="weekdays_exist"),
        CheckConstraint("cardinality(quiet_weekdays) < 7", name="a_weekday_counts"),
        CheckConstraint(
            "quiet_from IS NULL AND quiet_until IS NULL"
            " OR quiet_from IS NOT NULL AND quiet_until IS NOT NULL AND quiet_from <> quiet_until",
            name="hours_are_a_range",
        ),
        Index("uq_policy_installation_id", "installation_id", unique=True),
        Index("uq_policy_property_id", "property_id", unique=True),
        Index("uq_policy_medium", "tenant_id", "medium", unique=True, postgresql_where=text("medium IS NOT NULL")),
        Index(
            "uq_policy_tenant",
            "tenant_id",
            unique=True,
            postgresql_where=text("installation_id IS NULL AND property_id IS NULL AND medium IS NULL"),
        ),
        Index("ix_policy_tenant_id", "tenant_id", "id"),
        Index("ix_policy_reminding", "tenant_id", "remind_every", postgresql_where=text("remind_every IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    installation_id: Mapped[UUID | None] = mapped_column(ForeignKey("meter_installation.id"))
    property_id: Mapped[UUID | None] = mapped_column(ForeignKey("property.id"))
    medium: Mapped[str | None]
    stale_after: Mapped[timedelta] = mapped_column(Interval)
    quiet_weekdays: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default=text("'{}'::smallint[]"))
    quiet_from: Mapped[time | None] = mapped_column(Time)
    quiet_until: Mapped[time | None] = mapped_column(Time)
    time_zone: Mapped[str | None]
    grace: Mapped[timedelta] = mapped_column(Interval, server_default=text("'00:00:00'::interval"))
    remind_every: Mapped[timedelta | None] = mapped_column(Interval)
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_by: Mapped[str | None]
