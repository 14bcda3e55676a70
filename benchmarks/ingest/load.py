"""The readings of the bench: the same ones as messages for the queue and as ready tuples for the anchors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.messages.gateway import GatewayMessage, GatewayReading
from shared.models import Gateway, MeterInstallation, Property, PropertyConfig, Tenant, Unit

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(hours=1)
INSTALLED_AT = FIRST - timedelta(days=365)

Row = tuple[UUID, datetime, float, datetime, int, int]
"""meter_installation_id, timestamp, value, received_at, rssi_dbm, battery_level_pct."""


@dataclass(frozen=True)
class Fleet:
    """Gateways, each with the meters that it hears."""

    meters: dict[str, Sequence[UUID]]


async def register_fleet(engine: AsyncEngine, *, gateways: int, meters: int) -> Fleet:
    """A tenant with one property and so many gateways, and so many meters for each."""
    async with create_sessions(engine).begin() as session:
        tenant = Tenant(slug="bench", name="Bench")
        session.add(tenant)
        await session.flush()
        house = Property(tenant_id=tenant.id, name="House", address="Testvej 1, 8000 Aarhus")
        session.add(house)
        await session.flush()
        unit = Unit(property_id=house.id, label="1. tv")
        session.add_all([unit, PropertyConfig(property_id=house.id)])
        names = [f"GW-{number:04}" for number in range(1, gateways + 1)]
        session.add_all(Gateway(id=name, tenant_id=tenant.id, name=name) for name in names)
        await session.flush()
        fleet: dict[str, Sequence[UUID]] = {}
        for number, name in enumerate(names):
            ids = await session.scalars(
                insert(MeterInstallation).returning(MeterInstallation.id, sort_by_parameter_order=True),
                [
                    {
                        "tenant_id": tenant.id,
                        "unit_id": unit.id,
                        "gateway_id": name,
                        "meter_serial": f"{number * meters + meter:08}",
                        "medium": "heat",
                        "unit_of_measure": "kWh",
                        "installed_at": INSTALLED_AT,
                    }
                    for meter in range(meters)
                ],
            )
            fleet[name] = ids.all()
    return Fleet(fleet)


def messages(
    fleet: Fleet, *, count: int, readings: int, seed: int, first: datetime = FIRST, every: timedelta = EVERY
) -> Iterator[tuple[str, list[Row]]]:
    """`count` messages of `readings` each, as a gateway and its rows: round after round, in which each meter speaks.

    Every (meter, time) is there once, from `first` on; `readings` may be more than a gateway has meters.
    """
    random = Random(seed)  # noqa: S311 - made-up values, no secret
    spoken = dict.fromkeys(fleet.meters, 0)
    names = list(fleet.meters)
    for number in range(count):
        name = names[number % len(names)]
        meters = fleet.meters[name]
        rows: list[Row] = []
        for slot in range(spoken[name], spoken[name] + readings):
            turn, meter = divmod(slot, len(meters))
            at = first + turn * every
            value = round(meter * 100 + turn * 0.3 + random.random(), 3)
            rows.append((meters[meter], at, value, at, random.randrange(-95, -50), random.randrange(50, 101)))
        spoken[name] += readings
        yield name, rows


def body(gateway_id: str, rows: Sequence[Row]) -> GatewayMessage:
    """The message in which a gateway sends `rows`."""
    return GatewayMessage(
        gateway_id=gateway_id,
        sent_at=rows[-1][1],
        readings=[
            GatewayReading(installation_id=id_, timestamp=at, value=value, rssi_dbm=rssi, battery_level_pct=battery)
            for id_, at, value, _, rssi, battery in rows
        ],
    )
