"""A fleet made up from nothing: its gateways, houses, flats and meters, the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from cli.fleet.consumption import HABITS
from cli.fleet.meters import MeterPlate
from shared.models import Medium
from shared.registry.problems import Place
from shared.registry.records import Record

NAMESPACE = UUID("5b0c6c1e-6a0d-4f0e-9a55-2d5a2b1f7c11")
"""Of the installation ids, which are made from tenant, seed and serial."""

FIRST_INSTALLED = datetime(2015, 1, 1, tzinfo=UTC)
INSTALLED_WITHIN_DAYS = 1_000
LONGEST_HISTORY_DAYS = 2_900
"""From 2026 on this begins more than a year after the last installation."""

LONGEST_TENANT = 58
"""Characters of a slug that leave room for a number in a gateway's id."""

FLAT = (
    Medium.HEAT,
    Medium.COLD_WATER,
    Medium.WARM_WATER,
    Medium.ELECTRICITY,
    Medium.HEAT_COST_ALLOCATOR,
    Medium.HEAT_COST_ALLOCATOR,
    Medium.GAS,
    Medium.COOLING,
    Medium.WATER,
)
"""The meters of one flat: more than any flat has, so that a small fleet has every medium."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which fleet it is: `gateways` houses with `meters` each, of the tenant with the slug `tenant`."""

    tenant: str
    gateways: int
    meters: int
    seed: int

    def gateway_id(self, number: int) -> str:
        """The id of the gateway with a number, from 1 on."""
        return f"{self.tenant.upper()}-{number:04d}"

    def plates(self) -> dict[str, list[MeterPlate]]:
        """The meters of each gateway."""
        return {
            self.gateway_id(house + 1): [self._plate(house, meter) for meter in range(self.meters)]
            for house in range(self.gateways)
        }

    def records(self) -> Iterator[Record]:
        """The fleet as the registry takes it."""
        number = 0
        for house, (gateway_id, plates) in enumerate(self.plates().items(), start=1):
            for position, plate in enumerate(plates):
                number += 1
                cells = {
                    "tenant": self.tenant,
                    "tenant_name": f"Simulated: {self.tenant}",
                    "property": f"Flådevej {house}",
                    "address": f"Flådevej {house}, 8000 Aarhus C",
                    "unit": _flat(position // len(FLAT)),
                    "gateway_id": gateway_id,
                    "installation_id": str(plate.installation_id),
                    "meter_serial": plate.serial,
                    "medium": str(plate.medium),
                    "unit_of_measure": str(plate.unit_of_measure),
                    "installed_at": datetime.fromtimestamp(plate.installed_at, UTC).isoformat(),
                }
                yield Record(Place(number, "meter"), cells)

    def _plate(self, house: int, position: int) -> MeterPlate:
        index = house * self.meters + position
        # Odd and no multiple of five, so that no two indexes below 10^8 give the same serial.
        serial = f"{(self.seed * 10_000_019 + index) * 48_271_397 % 10**8:08d}"
        medium = FLAT[position % len(FLAT)]
        installed_at = FIRST_INSTALLED + timedelta(days=index % INSTALLED_WITHIN_DAYS)
        return MeterPlate(
            uuid5(NAMESPACE, f"{self.tenant}/{self.seed}/{serial}"),
            serial,
            medium,
            HABITS[medium].unit,
            int(installed_at.timestamp()),
        )


def _flat(number: int) -> str:
    floor, side = divmod(number, 2)
    return f"{floor}. {'th' if side else 'tv'}" if floor else f"st. {'th' if side else 'tv'}"
