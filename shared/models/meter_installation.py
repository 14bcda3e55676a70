"""A meter installation: one meter mounted in one unit from a moment on."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base
from shared.models.property import Unit


class Medium(StrEnum):
    """What a meter measures (EN 13757-3 device types, those that buildings have)."""

    HEAT = "heat"
    COOLING = "cooling"
    COLD_WATER = "cold_water"
    WARM_WATER = "warm_water"
    WATER = "water"
    ELECTRICITY = "electricity"
    GAS = "gas"
    HEAT_COST_ALLOCATOR = "heat_cost_allocator"


class UnitOfMeasure(StrEnum):
    """What the values of an installation are counted in; `hca` are the units of a heat cost allocator."""

    WH = "Wh"
    KWH = "kWh"
    MWH = "MWh"
    GJ = "GJ"
    LITRE = "l"
    CUBIC_METRE = "m3"
    HCA = "hca"


def one_of(column: str, values: type[StrEnum]) -> str:
    """A condition: the column has one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


class MeterInstallation(Base):
    """One meter in one unit. Soft-deleted, never removed: the database refuses to delete it or to move it."""

    __tablename__ = "meter_installation"
    __table_args__ = (
        CheckConstraint(one_of("medium", Medium), name="medium_is_known"),
        CheckConstraint(one_of("unit_of_measure", UnitOfMeasure), name="unit_of_measure_is_known"),
        CheckConstraint("meter_serial <> ''", name="meter_serial_not_empty"),
        CheckConstraint("deleted_at >= installed_at", name="deleted_after_installed"),
        Index(
            "uq_meter_installation_tenant_id_meter_serial",
            "tenant_id",
            "meter_serial",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
            # So that a search reads the index alone, and not 100,000 rows.
            postgresql_include=["id", "unit_id", "medium"],
        ),
        # Late readings name the meter that was there then, so the deleted ones are looked up too.
        Index(None, "tenant_id", "meter_serial"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    gateway_id: Mapped[str | None] = mapped_column(ForeignKey("gateway.id"), index=True)
    meter_serial: Mapped[str]
    medium: Mapped[str]
    unit_of_measure: Mapped[str]
    value_field: Mapped[str | None]
    installed_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("meter_installation.id"), index=True)

    unit: Mapped[Unit] = relationship(lazy="raise")
