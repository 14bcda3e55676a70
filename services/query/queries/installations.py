"""Installations with their state and latest reading, as `installation_status` has them: no reading is looked at."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, Select, select, true, tuple_

from services.query.database import QueryDatabase
from services.query.queries.reach import properties_within
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.models import (
    InstallationState,
    InstallationStatus,
    Medium,
    MeterInstallation,
    Property,
    Unit,
    UnitOfMeasure,
)


@dataclass(slots=True)
class LatestReading:
    """The newest reading by its own timestamp."""

    timestamp: Annotated[datetime, Field(description="When the meter showed it (UTC).")]
    value: Annotated[float, Field(description="In the installation's `unit_of_measure`.")]
    rssi_dbm: Annotated[int | None, Field(description="Strength of the radio signal at the gateway, in dBm.")]
    battery_level_pct: Annotated[int | None, Field(description="What is left of the meter's battery, in percent.")]


@dataclass(slots=True)
class Installation:
    """One meter in one unit of a property, and whether it is still heard."""

    id: UUID
    meter_serial: str
    medium: Medium
    unit_of_measure: UnitOfMeasure
    installed_at: datetime
    gateway_id: Annotated[str | None, Field(description="The gateway that is expected to hear it.")]
    property_id: UUID
    property_name: str
    unit_id: UUID
    unit_label: str
    state: Annotated[InstallationState, Field(description="`stale`: silent for longer than its limit.")]
    state_since: datetime
    latest_reading: Annotated[LatestReading | None, Field(description="null until it is heard for the first time.")]


@dataclass(slots=True)
class InstallationsPage(Page):
    """Installations: those never seen first, then the longest silent."""

    items: list[Installation]


async def installations_page(
    database: QueryDatabase, *, reach: Reach, stale: bool | None, cursor: str | None, limit: int
) -> InstallationsPage:
    """A page of the tenant's installations, all or only those that are stale or are not; raises `CursorError`."""
    scope = ("installations", reach.tenant_id, stale)
    statement = _within(reach)
    if stale is not None:
        is_stale = InstallationStatus.state == InstallationState.STALE
        statement = statement.where(is_stale if stale else ~is_stale)
    statement = statement.order_by(
        InstallationStatus.last_reading_at.asc().nulls_first(), InstallationStatus.installation_id
    )
    after = None if cursor is None else decode_cursor(cursor, tuple[datetime | None, UUID], scope=scope)
    rows: list[Row[Any]] = []
    async with database.session_within(reach) as session:
        for stretch in _after(after):
            rows += await session.execute(statement.where(stretch).limit(limit + 1 - len(rows)))
            if len(rows) > limit:
                break
    items = [_installation(row) for row in rows[:limit]]
    has_next = len(rows) > limit
    last = (rows[limit - 1].last_reading_at, items[-1].id) if has_next else None
    return InstallationsPage(items, encode_cursor(last, scope=scope) if last else None, has_next)


async def one_installation(database: QueryDatabase, *, reach: Reach, installation_id: UUID) -> Installation | None:
    """The tenant's installation with that id, or None."""
    statement = _within(reach).where(MeterInstallation.id == installation_id)
    async with database.session_within(reach) as session:
        row = (await session.execute(statement)).one_or_none()
    return None if row is None else _installation(row)


def _within(reach: Reach) -> Select[*tuple[Any, ...]]:
    return (
        select(
            MeterInstallation.id,
            MeterInstallation.meter_serial,
            MeterInstallation.medium,
            MeterInstallation.unit_of_measure,
            MeterInstallation.installed_at,
            MeterInstallation.gateway_id,
            Property.id.label("property_id"),
            Property.name.label("property_name"),
            Unit.id.label("unit_id"),
            Unit.label.label("unit_label"),
            InstallationStatus.state,
            InstallationStatus.state_since,
            InstallationStatus.last_reading_at,
            InstallationStatus.last_value,
            InstallationStatus.last_rssi_dbm,
            InstallationStatus.last_battery_level_pct,
        )
        .select_from(InstallationStatus)
        .join(MeterInstallation, MeterInstallation.id == InstallationStatus.installation_id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .join(Property, Property.id == Unit.property_id)
        .where(
            InstallationStatus.tenant_id == reach.tenant_id,
            MeterInstallation.tenant_id == reach.tenant_id,
            *properties_within(reach),
            MeterInstallation.deleted_at.is_(None),
        )
    )


def _after(position: tuple[datetime | None, UUID] | None) -> list[ColumnElement[bool]]:
    """The stretches of the list after `position`, in order: each is one range of the index, an OR would be none."""
    if position is None:
        return [true()]
    last_reading_at, installation_id = position
    if last_reading_at is None:
        return [
            InstallationStatus.last_reading_at.is_(None) & (InstallationStatus.installation_id > installation_id),
            InstallationStatus.last_reading_at.is_not(None),
        ]
    return [
        tuple_(InstallationStatus.last_reading_at, InstallationStatus.installation_id)
        > tuple_(last_reading_at, installation_id)
    ]


def _installation(row: Row[Any]) -> Installation:
    latest = None
    if row.last_reading_at is not None:
        latest = LatestReading(row.last_reading_at, row.last_value, row.last_rssi_dbm, row.last_battery_level_pct)
    return Installation(
        id=row.id,
        meter_serial=row.meter_serial,
        medium=Medium(row.medium),
        unit_of_measure=UnitOfMeasure(row.unit_of_measure),
        installed_at=row.installed_at,
        gateway_id=row.gateway_id,
        property_id=row.property_id,
        property_name=row.property_name,
        unit_id=row.unit_id,
        unit_label=row.unit_label,
        state=InstallationState(row.state),
        state_since=row.state_since,
        latest_reading=latest,
    )
