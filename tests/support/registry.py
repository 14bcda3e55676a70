"""Rows of the registry for tests: a tenant with a property, a unit, a gateway and meters."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database import create_sessions
from shared.models import (
    Gateway,
    MeterInstallation,
    Property,
    PropertyConfig,
    Tenant,
    Unit,
)

INSTALLED_AT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Building:
    """The ids of a tenant with one property; `meters` maps a serial to its installation."""

    tenant_id: UUID
    property_id: UUID
    unit_id: UUID
    gateway_id: str
    property_name: str = ""
    meters: dict[str, UUID] = field(default_factory=dict)
    others: dict[str, UUID] = field(default_factory=dict)
    """Ids of what tests add to it, by the name of the parameter that they stand in."""

    @property
    def installation_ids(self) -> list[UUID]:
        return list(self.meters.values())


async def create_building(
    engine: AsyncEngine,
    *,
    meters: int = 3,
    gateway_id: str | None = None,
    installed_at: datetime = INSTALLED_AT,
    stale_after: timedelta = timedelta(hours=48),
    tenant_id: UUID | None = None,
) -> Building:
    """One property, unit and gateway with heat meters `70000000` and upwards, of a new tenant or of that one."""
    unique = uuid4().hex[:8]
    async with create_sessions(engine).begin() as session:
        if tenant_id is None:
            tenant = Tenant(slug=f"tenant-{unique}", name=f"Tenant {unique}", stale_after=stale_after)
            session.add(tenant)
            await session.flush()
            tenant_id = tenant.id
        house = Property(tenant_id=tenant_id, name=f"House {unique}", address="Testvej 1, 8000 Aarhus")
        gateway = Gateway(id=gateway_id or f"GW-{unique}", tenant_id=tenant_id, name="In the cellar")
        session.add_all([house, gateway])
        await session.flush()
        unit = Unit(property_id=house.id, label="1. tv")
        session.add_all([unit, PropertyConfig(property_id=house.id)])
        await session.flush()
        building = Building(tenant_id, house.id, unit.id, gateway.id, house.name)
        for number in range(meters):
            await _add_meter(session, building, f"{70_000_000 + number}", installed_at)
    return building


async def add_meter(
    engine: AsyncEngine,
    building: Building,
    serial: str,
    *,
    installed_at: datetime = INSTALLED_AT,
    medium: str = "heat",
    unit_of_measure: str = "kWh",
    value_field: str | None = None,
) -> UUID:
    """Mount one more meter in the building."""
    async with create_sessions(engine).begin() as session:
        return await _add_meter(
            session,
            building,
            serial,
            installed_at,
            medium=medium,
            unit_of_measure=unit_of_measure,
            value_field=value_field,
        )


async def _add_meter(
    session: AsyncSession,
    building: Building,
    serial: str,
    installed_at: datetime,
    *,
    medium: str = "heat",
    unit_of_measure: str = "kWh",
    value_field: str | None = None,
) -> UUID:
    installation = MeterInstallation(
        tenant_id=building.tenant_id,
        unit_id=building.unit_id,
        gateway_id=building.gateway_id,
        meter_serial=serial,
        medium=medium,
        unit_of_measure=unit_of_measure,
        value_field=value_field,
        installed_at=installed_at,
    )
    session.add(installation)
    await session.flush()
    building.meters[serial] = installation.id
    return installation.id
