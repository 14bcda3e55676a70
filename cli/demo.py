"""The demo tenant of `mbus up`: two houses whose meters the simulator reports, and one meter that nobody hears."""

from collections.abc import Iterator

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

SIMULATE = (
    "simulate", "--tenant", TENANT, "--existing", "--days", str(HISTORY_DAYS), "--silent-meter", SILENT_SERIAL, "--follow"
)  # fmt: skip
"""The arguments with which `mbus` runs the demo's simulator: the history, then the present until it is ended."""

HOUSES = (
    ("Havnegade 12", "Havnegade 12, 8000 Aarhus C", "GW-0001", ("st. tv", "1. tv", "2. tv"), "714401"),
    ("Skovvej 3", "Skovvej 3, 8240 Risskov", "GW-0002", ("st. th", "1. th"), "021245"),
)
FLAT = (Medium.HEAT, Medium.COLD_WATER, Medium.WARM_WATER, Medium.HEAT_COST_ALLOCATOR)
CELLARS = {
    "Havnegade 12": (Medium.ELECTRICITY, Medium.COOLING),
    "Skovvej 3": (Medium.ELECTRICITY, Medium.GAS),
}


async def import_demo(engine: AsyncEngine, *, clock: Clock) -> Plan:
    """Register the demo tenant; changes nothing where it is registered already."""
    return await import_registry(engine, list(demo_records()), clock=clock)


def demo_records() -> Iterator[Record]:
    """The demo tenant as the registry takes it."""
    for number, cells in enumerate(_cells(), start=1):
        yield Record(Place(number, "meter"), cells)


def _cells() -> Iterator[dict[str, str]]:
    for name, address, gateway_id, flats, serials in HOUSES:
        mounted = [(flat, medium) for flat in flats for medium in FLAT]
        mounted += [("Kælder", medium) for medium in CELLARS[name]]
        for number, (unit, medium) in enumerate(mounted):
            yield _meter(name, address, unit, gateway_id, f"{serials}{number + 45:02d}", medium)
    name, address, gateway_id, *_ = HOUSES[0]
    yield _meter(name, address, "Kælder", gateway_id, SILENT_SERIAL, Medium.WATER)


def _meter(name: str, address: str, unit: str, gateway_id: str, serial: str, medium: Medium) -> dict[str, str]:
    return {
        "tenant": TENANT,
        "tenant_name": "Demo Ejendomme",
        "property": name,
        "address": address,
        "unit": unit,
        "gateway_id": gateway_id,
        "meter_serial": serial,
        "medium": str(medium),
        "unit_of_measure": str(HABITS[medium].unit),
        "installed_at": INSTALLED_AT,
    }
