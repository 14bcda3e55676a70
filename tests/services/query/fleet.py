"""A tenant's installations of many kinds, and what a list of them should be, worked out without a database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import Gateway, InstallationState, Medium, MeterInstallation, Property, Tenant, Unit

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
PLACES = (("Søhuset", "Søgade 1, 8000 Århus"), ("100% Bolig", "Lundvej_2, 7100 Vejle"), ("Tårnet", r"Bagvej\3, Ry"))
LABELS = ("1. tv", "1. th", "Kælder")


@dataclass(frozen=True)
class Mounted:
    """One installation as the list should show it."""

    id: UUID
    serial: str
    medium: Medium
    gateway_id: str | None
    property_id: UUID
    unit_id: UUID
    texts: tuple[str, ...]
    state: InstallationState
    last_reading_at: datetime | None


async def create_fleet(engine: AsyncEngine, *, installations: int, seed: int) -> tuple[UUID, list[Mounted]]:
    """A tenant with three properties of three units each; its id, and its installations. Many share their last time."""
    random = Random(seed)
    fleet = []
    async with create_sessions(engine).begin() as session:
        tenant = Tenant(slug=f"fleet-{seed}", name="Fleet")
        session.add(tenant)
        await session.flush()
        gateways = [Gateway(id=f"FLEET-{seed}-{number}", tenant_id=tenant.id, name="") for number in range(3)]
        houses = [Property(tenant_id=tenant.id, name=name, address=address) for name, address in PLACES]
        session.add_all([*gateways, *houses])
        await session.flush()
        units = [(house, Unit(property_id=house.id, label=label)) for house in houses for label in LABELS]
        session.add_all(unit for _, unit in units)
        await session.flush()
        for number in random.sample(range(16**4), installations):
            house, unit = random.choice(units)
            installation = MeterInstallation(
                tenant_id=tenant.id,
                unit_id=unit.id,
                gateway_id=random.choice([None, *(gateway.id for gateway in gateways)]),
                meter_serial=f"{number:04x}",
                medium=random.choice(list(Medium)),
                unit_of_measure="kWh",
                installed_at=NOON - timedelta(days=400),
            )
            session.add(installation)
            await session.flush()
            state = random.choice(list(InstallationState))
            at = NOON - timedelta(hours=random.randrange(4))
            heard = state is InstallationState.FRESH or (state is InstallationState.STALE and random.random() < 0.7)
            fleet.append(
                Mounted(
                    installation.id,
                    installation.meter_serial,
                    Medium(installation.medium),
                    installation.gateway_id,
                    house.id,
                    unit.id,
                    (installation.meter_serial, house.name, house.address),
                    state,
                    at if heard else None,
                )
            )
        await session.execute(
            text("UPDATE installation_status SET state = :state, last_reading_at = :at WHERE installation_id = :id"),
            [{"id": one.id, "state": one.state, "at": one.last_reading_at} for one in fleet],
        )
    return tenant.id, fleet


def in_order(fleet: Sequence[Mounted], sort: str) -> list[Mounted]:
    """`fleet` as the list has it."""
    if sort == "meter_serial":
        return sorted(fleet, key=lambda one: one.serial)
    silent = sorted(fleet, key=lambda one: (one.last_reading_at or datetime.min.replace(tzinfo=UTC), one.id.bytes))
    return silent if sort == "longest_silent" else silent[::-1]


def let_through(one: Mounted, filters: Sequence[tuple[str, Any]]) -> bool:
    """Whether the list with the parameters `filters` has `one`: all kinds of them, and any of each kind."""
    given: dict[str, list[Any]] = {}
    for name, value in filters:
        given.setdefault(name, []).append(value)
    meets: dict[str, Callable[[Any], bool]] = {
        "state": lambda value: one.state == value,
        "stale": lambda value: (one.state is InstallationState.STALE) == (value == "true"),
        "medium": lambda value: one.medium == value,
        "property_id": lambda value: one.property_id == value,
        "unit_id": lambda value: one.unit_id == value,
        "gateway_id": lambda value: one.gateway_id == value,
        "q": lambda value: any(value.lower() in within.lower() for within in one.texts),
    }
    return all(any(meets[name](value) for value in values) for name, values in given.items())
