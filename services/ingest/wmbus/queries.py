"""Finds the meters that telegrams are of, with what their readings are chosen by."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from sqlalchemy import any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from services.ingest.verdicts import Installation, Registry
from services.ingest.wmbus.readings import Meters
from services.ingest.wmbus.telegrams import SentTelegrams, Telegram
from services.ingest.wmbus.values import Metering
from shared.models import Medium, MeterInstallation, UnitOfMeasure

METERS = select(
    MeterInstallation.id,
    MeterInstallation.tenant_id,
    MeterInstallation.installed_at,
    MeterInstallation.deleted_at,
    MeterInstallation.meter_serial,
    MeterInstallation.medium,
    MeterInstallation.unit_of_measure,
    MeterInstallation.value_field,
).where(
    MeterInstallation.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid()))),
    MeterInstallation.meter_serial == any_(bindparam("serials", type_=ARRAY(Text()))),
)


async def find_meters(
    connection: AsyncConnection, registry: Registry, messages: Iterable[SentTelegrams]
) -> tuple[Meters, Registry]:
    """What the tenants of `registry` have of the meters in `messages`, and the registry with these as well."""
    serials = {
        serial
        for message in messages
        for telegram in message.telegrams
        if isinstance(telegram, Telegram)
        for serial in telegram.spellings
        # The registry holds no others, and the database could not even be asked for a NUL.
        if serial.isprintable()
    }
    asked = {"tenant_ids": list(set(registry.tenants_of_gateways.values())), "serials": list(serials)}
    by_id: dict[UUID, Installation] = {}
    by_serial: dict[tuple[UUID, str], list[Installation]] = {}
    metering: dict[UUID, Metering] = {}
    for row in await connection.execute(METERS, asked):
        installation = Installation(row.id, row.tenant_id, row.installed_at, row.deleted_at)
        by_id[row.id] = installation
        by_serial.setdefault((row.tenant_id, row.meter_serial), []).append(installation)
        metering[row.id] = Metering(Medium(row.medium), UnitOfMeasure(row.unit_of_measure), row.value_field)
    return Meters(by_serial, metering), replace(registry, by_id={**registry.by_id, **by_id})
