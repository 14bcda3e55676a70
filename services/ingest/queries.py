"""Finds the gateways and installations that a batch of readings names, as far as they are not known yet."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import and_, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from services.ingest.fields import read_id
from services.ingest.registry import Installation, Registry
from shared.models import READING_BATCH, Gateway, Medium, MeterInstallation, RegistryVersion, UnitOfMeasure

VERSION = select(RegistryVersion.version)
VERSION_AND_NUMBER = select(RegistryVersion.version, READING_BATCH.next_value())
GATEWAYS = select(Gateway.id, Gateway.tenant_id, Gateway.deleted_at).where(
    Gateway.id == any_(bindparam("gateway_ids", type_=ARRAY(Text())))
)
INSTALLATIONS = select(
    MeterInstallation.id,
    MeterInstallation.tenant_id,
    MeterInstallation.installed_at,
    MeterInstallation.deleted_at,
    MeterInstallation.meter_serial,
    MeterInstallation.medium,
    MeterInstallation.unit_of_measure,
    MeterInstallation.value_field,
).where(
    or_(
        MeterInstallation.id == any_(bindparam("ids", type_=ARRAY(Uuid()))),
        and_(
            MeterInstallation.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid()))),
            MeterInstallation.meter_serial == any_(bindparam("serials", type_=ARRAY(Text()))),
        ),
    )
)


async def registry_version(connection: AsyncConnection) -> UUID:
    """The version of the registry, which changes with every change of a gateway or an installation."""
    return (await connection.execute(VERSION)).scalar_one()


async def begin(connection: AsyncConnection) -> tuple[UUID, int]:
    """The same, and the first of the numbers that batches of this transaction can have."""
    version, number = (await connection.execute(VERSION_AND_NUMBER)).one()
    return version, number


async def learn_gateways(connection: AsyncConnection, registry: Registry, gateway_ids: Iterable[str]) -> None:
    """Let `registry` know the gateways among `gateway_ids` that are registered."""
    missing = set(gateway_ids) - registry.tenants_of_gateways.keys()
    if missing:
        found = await connection.execute(GATEWAYS, {"gateway_ids": sorted(missing)})
        for row in found:
            registry.tenants_of_gateways[row.id] = row.tenant_id
            if row.deleted_at is not None:
                registry.disabled_gateways[row.id] = row.deleted_at


async def learn_installations(
    connection: AsyncConnection, registry: Registry, *, written_ids: Iterable[str], serials: Iterable[tuple[UUID, str]]
) -> bool:
    """Let `registry` know the installations of these ids, as gateways wrote them, and of these tenants' serials.

    Returns whether there were any that it did not know.
    """
    ids = {id_ for written in set(written_ids) if (id_ := read_id(written)) is not None}
    # The registry holds no others, and the database could not even be asked for a NUL.
    asked = {
        (tenant_id, serial)
        for tenant_id, serial in set(serials)
        if serial.isprintable() and serial not in registry.meters_of(tenant_id).by_serial
    }
    missing = {id_ for id_ in ids if id_ not in registry.by_id}
    has_learnt = False
    if missing or asked:
        parameters = {
            "ids": list(missing),
            "tenant_ids": list({tenant_id for tenant_id, _ in asked}),
            "serials": list({serial for _, serial in asked}),
        }
        # Not added to what is there: another writer may be learning the same.
        by_serial: dict[tuple[UUID, str], list[Installation]] = {}
        for row in await connection.execute(INSTALLATIONS, parameters):
            has_learnt = True
            found = registry.learn(
                Installation(
                    row.id,
                    row.tenant_id,
                    row.installed_at,
                    row.deleted_at,
                    Medium(row.medium),
                    UnitOfMeasure(row.unit_of_measure),
                    row.value_field,
                )
            )
            if (row.tenant_id, row.meter_serial) in asked:
                by_serial.setdefault((row.tenant_id, row.meter_serial), []).append(found)
        for (tenant_id, serial), installations in by_serial.items():
            registry.meters_of(tenant_id).by_serial[serial] = installations
    return has_learnt
