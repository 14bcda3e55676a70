"""Properties with their units and config: a fixed number of statements, however many properties a page has."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from services.query.database import QueryDatabase
from services.query.queries.fields import PropertyAddress, PropertyId, PropertyName, UnitId, UnitLabel
from services.query.queries.reach import properties_within
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.pages import Page
from shared.http.reach import Reach
from shared.models import Property, PropertyConfig, Unit


@dataclass(slots=True)
class UnitOfProperty:
    """A flat or room, which meters are mounted in."""

    id: UnitId
    label: UnitLabel


@dataclass(slots=True)
class ConfigOfProperty:
    """How the property's meters are read and billed."""

    expected_interval: Annotated[
        timedelta,
        Field(description="How far its readings are apart: an ISO 8601 duration of seconds.", examples=["PT3600S"]),
    ]
    billing_start_month: Annotated[
        int, Field(ge=1, le=12, description="The month in which a year of billing begins; 1 is January.", examples=[1])
    ]


@dataclass(slots=True)
class PropertyWithUnits:
    """A building with its units, by label, and its config."""

    id: PropertyId
    name: PropertyName
    address: PropertyAddress
    config: Annotated[ConfigOfProperty | None, Field(description="null where it has none.")]
    units: Annotated[list[UnitOfProperty], Field(description="Its flats and rooms, by label.")]


@dataclass(slots=True)
class PropertiesPage(Page):
    """Properties by name."""

    items: Annotated[list[PropertyWithUnits], Field(description="The properties of this page.")]


async def properties_page(database: QueryDatabase, *, reach: Reach, cursor: str | None, limit: int) -> PropertiesPage:
    """A page of the tenant's properties; raises `CursorError`."""
    scope = ("properties", reach.tenant_id)
    statement = _within(reach).order_by(Property.name, Property.id).limit(limit + 1)
    if cursor is not None:
        name, property_id = decode_cursor(cursor, tuple[str, UUID], scope=scope)
        statement = statement.where(tuple_(Property.name, Property.id) > tuple_(name, property_id))
    async with database.session_within(reach) as session:
        found = (await session.scalars(statement)).all()
    items = [_answer(one) for one in found[:limit]]
    has_next = len(found) > limit
    last = (items[-1].name, items[-1].id) if has_next else None
    return PropertiesPage(items, encode_cursor(last, scope=scope) if last else None, has_next)


async def one_property(database: QueryDatabase, *, reach: Reach, property_id: UUID) -> PropertyWithUnits | None:
    """The tenant's property with that id, or None."""
    async with database.session_within(reach) as session:
        found = await session.scalar(_within(reach).where(Property.id == property_id))
    return None if found is None else _answer(found)


def _within(reach: Reach) -> Select[Property]:
    return (
        select(Property)
        .where(*properties_within(reach), Property.deleted_at.is_(None))
        .options(joinedload(Property.config), selectinload(Property.units.and_(Unit.deleted_at.is_(None))))
    )


def _answer(found: Property) -> PropertyWithUnits:
    units = sorted(found.units, key=lambda unit: unit.label)
    return PropertyWithUnits(
        id=found.id,
        name=found.name,
        address=found.address,
        config=_config(found.config),
        units=[UnitOfProperty(unit.id, unit.label) for unit in units],
    )


def _config(config: PropertyConfig | None) -> ConfigOfProperty | None:
    return None if config is None else ConfigOfProperty(config.expected_interval, config.billing_start_month)
