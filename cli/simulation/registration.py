"""The fleet in the registry: put there, or read from what a tenant has."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.fleet.layout import Layout
from cli.fleet.meters import MeterPlate
from shared.clock import Clock
from shared.models import Gateway, Medium, MeterInstallation, UnitOfMeasure
from shared.registry.operations import import_registry
from shared.registry.tenants import find_tenant


async def register_fleet(engine: AsyncEngine, layout: Layout, *, clock: Clock) -> dict[str, list[MeterPlate]]:
    """Register what `layout` describes, as far as it is not yet, and return the meters of each gateway."""
    await import_registry(engine, list(layout.records()), clock=clock)
    return layout.plates()


async def registered_fleet(
    engine: AsyncEngine, tenant: str, of_gateways: Sequence[str] = ()
) -> dict[str, list[MeterPlate]]:
    """The installed meters of each gateway of the tenant with this slug; of some gateways only, if they are named.

    A meter that is expected at no gateway, or at one that is disabled, is heard by the first of them. Of those that are
    expected at no gateway none is meant where gateways are named.
    """
    async with engine.connect() as connection:
        tenant_id = await find_tenant(connection, tenant)
        gateways = await connection.execute(
            select(Gateway.id, Gateway.deleted_at).where(Gateway.tenant_id == tenant_id).order_by(Gateway.id)
        )
        disabled_at = {id_: at for id_, at in gateways if not of_gateways or id_ in of_gateways}
        if unknown := [id_ for id_ in of_gateways if id_ not in disabled_at]:
            raise CommandError(f"the tenant {tenant!r} has no gateway {unknown[0]!r}")
        plates: dict[str, list[MeterPlate]] = {id_: [] for id_, at in disabled_at.items() if at is None}
        if not plates:
            raise CommandError(f"the tenant {tenant!r} has no gateway that could hear its meters")
        it = MeterInstallation
        asked = select(it.gateway_id, it.id, it.meter_serial, it.medium, it.unit_of_measure, it.installed_at).where(
            it.tenant_id == tenant_id, it.deleted_at.is_(None)
        )
        if of_gateways:
            asked = asked.where(it.gateway_id.in_(of_gateways))
        for gateway_id, id_, serial, medium, unit_of_measure, installed_at in await connection.execute(
            asked.order_by(it.meter_serial)
        ):
            of_gateway = plates[gateway_id if gateway_id in plates else next(iter(plates))]
            plate = MeterPlate(
                id_, serial, Medium(medium), UnitOfMeasure(unit_of_measure), int(installed_at.timestamp()) + 1
            )
            of_gateway.append(plate)
    if not any(plates.values()):
        raise CommandError(f"the tenant {tenant!r} has no meters{' at these gateways' if of_gateways else ''}")
    return {gateway_id: of_gateway for gateway_id, of_gateway in plates.items() if of_gateway}
