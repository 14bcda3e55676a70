"""What a transition needs to know of installations: where they are, how they stand, what limit they have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.alerts.queries.limits import limit_of, limited
from services.alerts.queries.stored import StoredReading
from services.alerts.rules.staleness import Silence
from shared.messages.alert_events import LastReading
from shared.models import InstallationState, InstallationStatus, MeterInstallation, Property, Tenant, Unit


@dataclass(frozen=True)
class Subject:
    """An installation as its alerts describe it, and as the rules judge it. `alert_id` is the open alert."""

    installation_id: UUID
    tenant_id: UUID
    meter_serial: str
    medium: str
    unit_of_measure: str
    property_id: UUID
    property_name: str
    address: str
    unit_label: str
    expected_gateway_id: str | None
    last_gateway_id: str | None
    last_reading: LastReading | None
    last_received_at: datetime | None
    due_at: datetime | None
    alert_id: UUID | None
    silence: Silence

    @property
    def gateway_id(self) -> str | None:
        """The gateway that heard it last, else the one that is to."""
        return self.last_gateway_id or self.expected_gateway_id

    @property
    def gateway_ids(self) -> set[str]:
        """The gateways that it can be heard by, as far as is known."""
        return {one for one in (self.expected_gateway_id, self.last_gateway_id) if one is not None}

    def having_read(self, reading: StoredReading | None) -> "Subject":
        """The same with another newest reading. By which gateway it came is not stored: the last known one stays."""
        return replace(
            self,
            last_reading=None if reading is None else reading.told,
            last_received_at=None if reading is None else reading.received_at,
            silence=replace(self.silence, last_reading_at=None if reading is None else reading.told.timestamp),
        )


DUE = (
    select(InstallationStatus.installation_id)
    .where(InstallationStatus.due_at <= bindparam("until"))
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
)
LOCK_LONGEST_DUE = DUE.order_by(InstallationStatus.due_at)
LOCK_LATEST_DUE = DUE.order_by(InstallationStatus.due_at.desc())
"""By itself, so that it is the walk along the index of `due_at` whatever the planner thinks of the rest."""

SUBJECTS = limited(
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
        InstallationStatus.last_received_at,
        InstallationStatus.due_at,
        InstallationStatus.registered_at,
        InstallationStatus.judged_from,
        InstallationStatus.rules_changed_at,
        InstallationStatus.alert_id,
        MeterInstallation.meter_serial,
        MeterInstallation.medium,
        MeterInstallation.unit_of_measure,
        MeterInstallation.gateway_id.label("expected_gateway_id"),
        MeterInstallation.installed_at,
        MeterInstallation.deleted_at,
        Unit.label,
        Property.id.label("property_id"),
        Property.name,
        Property.address,
    )
    .join(MeterInstallation, MeterInstallation.id == InstallationStatus.installation_id)
    .join(Unit, Unit.id == MeterInstallation.unit_id)
    .join(Property, Property.id == Unit.property_id)
    .join(Tenant, Tenant.id == InstallationStatus.tenant_id)
)
"""All installations, for a condition of the caller; `subject_of` reads a row of it."""

FIND = SUBJECTS.where(InstallationStatus.installation_id == any_(bindparam("ids", type_=ARRAY(Uuid()))))


async def lock_due(
    connection: AsyncConnection, until: datetime, *, at_most: int, latest_first: bool = False
) -> list[Subject]:
    """The installations to look at by `until`, locked; those that another replica has are left out.

    Where more are due, those that are due longest, or those that fell due last. They come back in any order.
    """
    statement = LOCK_LATEST_DUE if latest_first else LOCK_LONGEST_DUE
    due = (await connection.execute(statement, {"until": until, "at_most": at_most})).scalars().all()
    return await find(connection, due)


async def find(connection: AsyncConnection, installation_ids: Sequence[UUID]) -> list[Subject]:
    """The given installations, which the caller has locked."""
    if not installation_ids:
        return []
    found = await connection.execute(FIND, {"ids": list(installation_ids)})
    return [subject_of(row) for row in found]


def subject_of(row: Row[Any]) -> Subject:
    """The installation in a row of `SUBJECTS`."""
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
        expected_gateway_id=row.expected_gateway_id,
        last_gateway_id=row.last_gateway_id,
        last_reading=last_reading,
        last_received_at=row.last_received_at,
        due_at=row.due_at,
        alert_id=row.alert_id,
        silence=Silence(
            state=InstallationState(row.state),
            state_since=row.state_since,
            installed_at=row.installed_at,
            registered_at=row.registered_at,
            deleted_at=row.deleted_at,
            last_reading_at=row.last_reading_at,
            judged_from=row.judged_from,
            rules_changed_at=row.rules_changed_at,
            alerted=row.alert_id is not None,
            limit=limit_of(row),
        ),
    )
