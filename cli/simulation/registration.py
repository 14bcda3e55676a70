"""The fleet in the registry: put there, or read from what a tenant has."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.fleet.layout import Layout
from cli.fleet.meters import MeterPlate
from shared.clock import Clock
from shared.models import Gateway, Medium, MeterInstallation, Tenant, UnitOfMeasure
from shared.registry.operations import import_registry


async def register_fleet(engine: AsyncEngine, layout: Layout, *, clock: Clock) -> dict[str, list[MeterPlate]]:
    """Register what `layout` describes, as far as it is not yet, and return the meters of each gateway."""
    await import_registry(engine, list(layout.records()), clock=clock)
    return layout.plates()


async def registered_fleet(engine: AsyncEngine, tenant: str) -> dict[str, list[MeterPlate]]:
    """The installed meters of each gateway of the tenant with this slug.

    A meter that is expected at no gateway is heard by the tenant's first one.
    """
    async with engine.connect() as connection:
        tenant_id = await connection.scalar(select(Tenant.id).where(Tenant.slug == tenant))
        if tenant_id is None:
            raise CommandError(f"there is no tenant {tenant!r}")
        gateways = await connection.scalars(
            select(Gateway.id).where(Gateway.tenant_id == tenant_id, Gateway.deleted_at.is_(None)).order_by(Gateway.id)
        )
        plates: dict[str, list[MeterPlate]] = {gateway_id: [] for gateway_id in gateways}
        if not plates:
            raise CommandError(f"the tenant {tenant!r} has no gateway that could hear its meters")
        it = MeterInstallation
        rows = await connection.execute(
            select(it.gateway_id, it.id, it.meter_serial, it.medium, it.unit_of_measure, it.installed_at)
            .where(it.tenant_id == tenant_id, it.deleted_at.is_(None))
            .order_by(it.meter_serial)
        )
        for gateway_id, id_, serial, medium, unit_of_measure, installed_at in rows:
            of_gateway = plates[gateway_id if gateway_id in plates else next(iter(plates))]
            plate = MeterPlate(
                id_, serial, Medium(medium), UnitOfMeasure(unit_of_measure), int(installed_at.timestamp()) + 1
            )
            of_gateway.append(plate)
    if not any(plates.values()):
        raise CommandError(f"the tenant {tenant!r} has no meters")
    return {gateway_id: of_gateway for gateway_id, of_gateway in plates.items() if of_gateway}
