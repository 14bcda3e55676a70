"""The demo tenant of `mbus up`: two houses whose meters the simulator reports, and one meter that nobody hears."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.fleet.consumption import HABITS
from shared.clock import Clock
from shared.models import Medium
from shared.registry.changes import Plan
from shared.registry.operations import import_registry
from shared.registry.problems import Place
from shared.registry.records import Record

TENANT = "demo"
INSTALLED_AT = "2024-01-01"
SILENT_SERIAL = "99000001"
"""A spare meter in the cellar; a reading published for it by hand is the only one that it has."""

HISTORY_DAYS = 7

FLAT = (Medium.HEAT, Medium.COLD_WATER, Medium.WARM_WATER, Medium.HEAT_COST_ALLOCATOR)


@dataclass(frozen=True)
class House:
    """A property of the demo: `FLAT` in each flat, and what is in its cellar."""

    name: str
    address: str
    gateway_id: str
    flats: tuple[str, ...]
    cellar: tuple[Medium, ...]
    first_serial: int


HOUSES = (
    House(
        name="Havnegade 12",
        address="Havnegade 12, 8000 Aarhus C",
        gateway_id="GW-0001",
        flats=("st. tv", "1. tv", "2. tv"),
        cellar=(Medium.ELECTRICITY, Medium.COOLING),
        first_serial=71_440_145,
    ),
    House(
        name="Skovvej 3",
        address="Skovvej 3, 8240 Risskov",
        gateway_id="GW-0002",
        flats=("st. th", "1. th"),
        cellar=(Medium.ELECTRICITY, Medium.GAS),
        first_serial=2_124_589,
    ),
)

SIMULATE = (
    *("simulate", "--tenant", TENANT, "--existing"),
    *(word for house in HOUSES for word in ("--gateway", house.gateway_id)),
    *("--days", str(HISTORY_DAYS)),
    *("--silent-meter", SILENT_SERIAL),
    "--follow",
)
"""The arguments with which `mbus` runs the demo's simulator: the history, then the present until it is ended.

Of the demo's own gateways only: whoever adds a gateway to this tenant sends its readings themselves.
"""


async def import_demo(engine: AsyncEngine, *, clock: Clock) -> Plan:
    """Register the demo tenant; changes nothing where it is registered already."""
    return await import_registry(engine, list(demo_records()), clock=clock)


def demo_records() -> Iterator[Record]:
    """The demo tenant as the registry takes it."""
    for number, cells in enumerate(_cells(), start=1):
        yield Record(Place(number, "meter"), cells)


def _cells() -> Iterator[dict[str, str]]:
    for house in HOUSES:
        mounted = [(flat, medium) for flat in house.flats for medium in FLAT]
        mounted += [("Kælder", medium) for medium in house.cellar]
        for number, (unit, medium) in enumerate(mounted, start=house.first_serial):
            yield _meter(house, unit, f"{number:08d}", medium)
    yield _meter(HOUSES[0], "Kælder", SILENT_SERIAL, Medium.WATER)


def _meter(house: House, unit: str, serial: str, medium: Medium) -> dict[str, str]:
    return {
        "tenant": TENANT,
        "tenant_name": "Demo Ejendomme",
        "property": house.name,
        "address": house.address,
        "unit": unit,
        "gateway_id": house.gateway_id,
        "meter_serial": serial,
        "medium": str(medium),
        "unit_of_measure": str(HABITS[medium].unit),
        "installed_at": INSTALLED_AT,
    }
