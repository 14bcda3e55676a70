"""A property (a building), its one config, and its units (flats or rooms)."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Interval, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base


class Property(Base):
    """A building of a tenant. Soft-deleted: `deleted_at` says since when it is gone."""

    __tablename__ = "property"
    __table_args__ = (
        Index(
            "uq_property_tenant_id_name",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    address: Mapped[str]
    deleted_at: Mapped[datetime | None]

    config: Mapped["PropertyConfig | None"] = relationship(back_populates="property", lazy="raise")
    units: Mapped[list["Unit"]] = relationship(back_populates="property", lazy="raise")


class PropertyConfig(Base):
    """How a property's meters are read and billed; one row a property. Without a `time_zone` the tenant's holds."""

    __tablename__ = "property_config"
    __table_args__ = (
        CheckConstraint("expected_interval > interval '0'", name="expected_interval_positive"),
        CheckConstraint("billing_start_month BETWEEN 1 AND 12", name="billing_start_month_is_a_month"),
    )

    property_id: Mapped[UUID] = mapped_column(ForeignKey("property.id"), primary_key=True)
    expected_interval: Mapped[timedelta] = mapped_column(Interval, server_default=text("'1 hour'"))
    billing_start_month: Mapped[int] = mapped_column(server_default=text("1"))
    time_zone: Mapped[str | None]

    property: Mapped[Property] = relationship(back_populates="config", lazy="raise")


class Unit(Base):
    """A flat or room of a property, which meters are mounted in."""

    __tablename__ = "unit"
    __table_args__ = (
        Index(
            "uq_unit_property_id_label",
            "property_id",
            "label",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    property_id: Mapped[UUID] = mapped_column(ForeignKey("property.id"), index=True)
    label: Mapped[str]
    deleted_at: Mapped[datetime | None]

    property: Mapped[Property] = relationship(back_populates="units", lazy="raise")
