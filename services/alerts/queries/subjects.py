"""What a transition needs to know of installations: where they are, how they stand, what limit they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.alerts.rules.limits import Limit
from services.alerts.rules.staleness import Silence
from shared.messages.alert_events import LastReading
from shared.models import InstallationState, InstallationStatus, MeterInstallation, Property, Tenant, Unit


@dataclass(frozen=True)
class Subject:
    """An installation as its alerts describe it."""

    installation_id: UUID
    tenant_id: UUID
    meter_serial: str
    medium: str
    unit_of_measure: str
    property_id: UUID
    property_name: str
    address: str
    unit_label: str
    gateway_id: str | None
    last_reading: LastReading | None
    state_since: datetime
    silence: Silence


def _subjects() -> Select[*tuple[Any, ...]]:
    return (
        select(
            InstallationStatus.installation_id,
            InstallationStatus.tenant_id,
            InstallationStatus.state,
            InstallationStatus.state_since,
            InstallationStatus.last_reading_at,
            InstallationStatus.last_value,
            InstallationStatus.last_rssi_dbm,
            InstallationStatus.last_battery_level_pct,
            InstallationStatus.last_gateway_id,
            InstallationStatus.registered_at,
            InstallationStatus.judged_from,
            InstallationStatus.rules_changed_at,
            MeterInstallation.meter_serial,
            MeterInstallation.medium,
            MeterInstallation.unit_of_measure,
            MeterInstallation.gateway_id,
            MeterInstallation.installed_at,
            MeterInstallation.deleted_at,
            Unit.label,
            Property.id.label("property_id"),
            Property.name,
            Property.address,
            Tenant.stale_after,
        )
        .join(MeterInstallation, MeterInstallation.id == InstallationStatus.installation_id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .join(Property, Property.id == Unit.property_id)
        .join(Tenant, Tenant.id == InstallationStatus.tenant_id)
    )


async def lock_due(connection: AsyncConnection, now: datetime, *, at_most: int) -> list[Subject]:
    """The installations to look at by `now`, longest due first, locked; those that another replica has are left out."""
    found = await connection.execute(
        _subjects()
        .where(InstallationStatus.due_at <= now)
        .order_by(InstallationStatus.due_at)
        .limit(at_most)
        .with_for_update(of=InstallationStatus, skip_locked=True)
    )
    return [_subject(row) for row in found]


async def find(connection: AsyncConnection, installation_ids: Sequence[UUID]) -> list[Subject]:
    """The given installations, which the caller has locked."""
    found = await connection.execute(
        _subjects().where(InstallationStatus.installation_id == any_(bindparam("ids", type_=ARRAY(Uuid())))),
        {"ids": list(installation_ids)},
    )
    return [_subject(row) for row in found]


def _subject(row: Row[Any]) -> Subject:
    last_reading = None
    if row.last_reading_at is not None:
        last_reading = LastReading(
            timestamp=row.last_reading_at,
            value=row.last_value,
            rssi_dbm=row.last_rssi_dbm,
            battery_level_pct=row.last_battery_level_pct,
        )
    return Subject(
        installation_id=row.installation_id,
        tenant_id=row.tenant_id,
        meter_serial=row.meter_serial,
        medium=row.medium,
        unit_of_measure=row.unit_of_measure,
        property_id=row.property_id,
        property_name=row.name,
        address=row.address,
        unit_label=row.label,
        gateway_id=row.last_gateway_id or row.gateway_id,
        last_reading=last_reading,
        state_since=row.state_since,
        silence=Silence(
            state=InstallationState(row.state),
            installed_at=row.installed_at,
            registered_at=row.registered_at,
            deleted_at=row.deleted_at,
            last_reading_at=row.last_reading_at,
            judged_from=row.judged_from,
            rules_changed_at=row.rules_changed_at,
            alerted=row.state == InstallationState.STALE,
            limit=Limit(row.stale_after),
        ),
    )
