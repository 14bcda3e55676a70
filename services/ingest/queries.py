"""Finds the gateways and installations that a batch of readings names."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import and_, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from services.ingest.payload import SentReading
from services.ingest.verdicts import Installation, Registry
from shared.models import Gateway, MeterInstallation

GATEWAYS = select(Gateway.id, Gateway.tenant_id, Gateway.deleted_at).where(
    Gateway.id == any_(bindparam("gateway_ids", type_=ARRAY(Text())))
)
INSTALLATIONS = select(
    MeterInstallation.id,
    MeterInstallation.tenant_id,
    MeterInstallation.installed_at,
    MeterInstallation.deleted_at,
    MeterInstallation.meter_serial,
).where(
    or_(
        MeterInstallation.id == any_(bindparam("ids", type_=ARRAY(Uuid()))),
        and_(
            MeterInstallation.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid()))),
            MeterInstallation.meter_serial == any_(bindparam("serials", type_=ARRAY(Text()))),
        ),
    )
)


async def find_registry(
    connection: AsyncConnection, gateway_ids: Iterable[str], readings: Iterable[SentReading]
) -> Registry:
    """What the registry has of `gateway_ids` and of the installations that `readings` name, in two statements."""
    gateways = (await connection.execute(GATEWAYS, {"gateway_ids": sorted(set(gateway_ids))})).all()
    tenants = {row.id: row.tenant_id for row in gateways}
    disabled = {row.id: row.deleted_at for row in gateways if row.deleted_at is not None}
    ids: set[UUID] = set()
    serials: set[str] = set()
    for reading in readings:
        installation_id = reading.installation_id or reading.meter_installation_id
        if installation_id is not None:
            ids.add(installation_id)
        elif reading.meter_serial is not None and reading.meter_serial.isprintable():
            # The registry holds no others, and the database could not even be asked for a NUL.
            serials.add(reading.meter_serial)
    by_id: dict[UUID, Installation] = {}
    by_serial: dict[tuple[UUID, str], list[Installation]] = {}
    if ids or serials:
        found = await connection.execute(
            INSTALLATIONS, {"ids": list(ids), "tenant_ids": list(set(tenants.values())), "serials": list(serials)}
        )
        for row in found:
            installation = Installation(row.id, row.tenant_id, row.installed_at, row.deleted_at)
            by_id[row.id] = installation
            by_serial.setdefault((row.tenant_id, row.meter_serial), []).append(installation)
    return Registry(tenants, by_id, by_serial, disabled)
