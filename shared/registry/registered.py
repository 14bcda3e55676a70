"""What is registered already, as far as a file's rows touch it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, any_, bindparam, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from shared.models import Gateway, MeterInstallation, Property, PropertyConfig, Tenant, Unit
from shared.registry.rows import Row


@dataclass(frozen=True, slots=True)
class KnownTenant:
    """A tenant; its time zone says when its days begin."""

    id: UUID
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class KnownProperty:
    """A property with its config; None where it has none yet."""

    id: UUID
    address: str
    billing_start_month: int | None
    expected_interval: timedelta | None
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class KnownGateway:
    """Whose gateway it is, and since when it is no longer in use."""

    tenant_id: UUID
    deleted_at: datetime | None


@dataclass(slots=True, kw_only=True)
class Installation:
    """A meter installation's columns, registered or about to be."""

    id: UUID
    tenant_id: UUID
    unit_id: UUID
    gateway_id: str | None
    meter_serial: str
    medium: str
    unit_of_measure: str
    value_field: str | None
    installed_at: datetime
    deleted_at: datetime | None
    replaces_id: UUID | None


@dataclass(frozen=True, slots=True)
class KnownInstallation:
    """A registered installation, where it is (`House, 1. tv`), and whether another one replaces it."""

    installation: Installation
    where: str
    is_replaced: bool


@dataclass(frozen=True, slots=True)
class Registered:
    """Tenants by slug, properties by tenant and name, units by property and label, the rest by id."""

    tenants: dict[str, KnownTenant] = field(default_factory=dict)
    properties: dict[tuple[UUID, str], KnownProperty] = field(default_factory=dict)
    units: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    gateways: dict[str, KnownGateway] = field(default_factory=dict)
    installations: dict[UUID, KnownInstallation] = field(default_factory=dict)


async def look_up(session: AsyncSession, rows: Collection[Row]) -> Registered:
    """What is registered of the tenants, properties, gateways and meters that `rows` speak of."""
    found = await session.execute(
        select(Tenant.slug, Tenant.id, Tenant.name, Tenant.time_zone).where(
            _among(Tenant.slug, (r.tenant for r in rows))
        )
    )
    tenants = {slug: KnownTenant(id_, name, zone) for slug, id_, name, zone in found}
    tenant_ids = [tenant.id for tenant in tenants.values()]
    return Registered(
        tenants,
        await _properties(session, tenant_ids, {row.property for row in rows}),
        await _units(session, tenant_ids, {row.property for row in rows}),
        await _gateways(session, {row.gateway_id for row in rows if row.gateway_id}),
        await _installations(session, tenant_ids, rows),
    )


async def _properties(
    session: AsyncSession, tenant_ids: list[UUID], names: Iterable[str]
) -> dict[tuple[UUID, str], KnownProperty]:
    found = await session.execute(
        select(
            Property.tenant_id,
            Property.name,
            Property.id,
            Property.address,
            PropertyConfig.billing_start_month,
            PropertyConfig.expected_interval,
            PropertyConfig.time_zone,
        )
        .outerjoin(PropertyConfig)
        .where(_among(Property.tenant_id, tenant_ids), _among(Property.name, names), Property.deleted_at.is_(None))
    )
    return {
        (tenant_id, name): KnownProperty(id_, address, month, interval, time_zone)
        for tenant_id, name, id_, address, month, interval, time_zone in found
    }


async def _units(
    session: AsyncSession, tenant_ids: list[UUID], properties: Iterable[str]
) -> dict[tuple[UUID, str], UUID]:
    found = await session.execute(
        select(Unit.property_id, Unit.label, Unit.id)
        .join(Property)
        .where(
            _among(Property.tenant_id, tenant_ids),
            _among(Property.name, properties),
            Property.deleted_at.is_(None),
            Unit.deleted_at.is_(None),
        )
    )
    return {(property_id, label): id_ for property_id, label, id_ in found}


async def _gateways(session: AsyncSession, ids: Iterable[str]) -> dict[str, KnownGateway]:
    found = await session.execute(
        select(Gateway.id, Gateway.tenant_id, Gateway.deleted_at).where(_among(Gateway.id, ids))
    )
    return {id_: KnownGateway(tenant_id, deleted_at) for id_, tenant_id, deleted_at in found}


async def _installations(
    session: AsyncSession, tenant_ids: list[UUID], rows: Collection[Row]
) -> dict[UUID, KnownInstallation]:
    serials = {row.meter_serial for row in rows} | {row.replaces_serial for row in rows if row.replaces_serial}
    successor = aliased(MeterInstallation)
    it = MeterInstallation
    of_the_file = _among(it.tenant_id, tenant_ids) & _among(it.meter_serial, serials)
    # An id is looked up in every tenant: one that is another's must be refused.
    named = _among(it.id, (row.installation_id for row in rows if row.installation_id))
    found = await session.execute(
        select(
            it.id,
            it.tenant_id,
            it.unit_id,
            it.gateway_id,
            it.meter_serial,
            it.medium,
            it.unit_of_measure,
            it.value_field,
            it.installed_at,
            it.deleted_at,
            it.replaces_id,
            Property.name.label("property"),
            Unit.label.label("unit"),
            exists().where(successor.replaces_id == it.id).label("is_replaced"),
        )
        .join(Unit, Unit.id == it.unit_id)
        .join(Property)
        .where(or_(of_the_file, named))
    )
    known = {}
    for row in found.mappings():
        columns = dict(row)
        where = f"{columns.pop('property')}, {columns.pop('unit')}"
        is_replaced = columns.pop("is_replaced")
        known[columns["id"]] = KnownInstallation(Installation(**columns), where, is_replaced)
    return known


def _among(column: InstrumentedAttribute[Any], values: Iterable[object]) -> ColumnElement[bool]:
    """`column = ANY(values)`: one parameter, however many values there are."""
    return column == any_(bindparam(None, list(set(values)), ARRAY(column.type), unique=True))
