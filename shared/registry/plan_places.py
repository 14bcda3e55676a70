"""Which tenants, properties, units and gateways the rows need, and which of them are there."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from shared.registry.changes import Plan
from shared.registry.problems import Problem
from shared.registry.registered import KnownProperty, KnownTenant, Registered
from shared.registry.rows import Row

K = TypeVar("K")

DEFAULT_TIME_ZONE = "Europe/Copenhagen"
DEFAULT_INTERVAL = timedelta(hours=1)
DEFAULT_BILLING_START_MONTH = 1


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows are: their tenants by slug, and their units by tenant, property and label."""

    tenants: dict[str, KnownTenant] = field(default_factory=dict)
    units: dict[tuple[str, str, str], UUID] = field(default_factory=dict)


def plan_places(
    rows: Sequence[Row], registered: Registered, plan: Plan, *, new_id: Callable[[], UUID]
) -> tuple[Places, list[Problem]]:
    """Add the places of `rows` to `plan`; the problems are those of gateways that cannot be used."""
    planner = _Planner(registered, plan, new_id)
    places = Places()
    for slug, of_tenant in _groups(rows, key=lambda row: row.tenant):
        places.tenants[slug] = planner.tenant(slug, of_tenant)
    house_ids = {}
    for (slug, name), of_house in _groups(rows, key=lambda row: (row.tenant, row.property)):
        house_ids[slug, name] = planner.house(places.tenants[slug], name, of_house)
    for key, _ in _groups(rows, key=lambda row: (row.tenant, row.property, row.unit)):
        slug, name, label = key
        places.units[key] = planner.unit(house_ids[slug, name], label)
    return places, planner.gateways(rows, places)


def _groups(rows: Iterable[Row], *, key: Callable[[Row], K]) -> Iterable[tuple[K, list[Row]]]:
    groups: dict[K, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups.items()


@dataclass(frozen=True, slots=True)
class _Planner:
    """Finds each place among what is registered, or adds it to the plan."""

    registered: Registered
    plan: Plan
    new_id: Callable[[], UUID]

    def tenant(self, slug: str, rows: Iterable[Row]) -> KnownTenant:
        changes = self.plan.tenants
        name = next((row.tenant_name for row in rows if row.tenant_name), None)
        known = self.registered.tenants.get(slug)
        if known is None:
            known = KnownTenant(self.new_id(), name or slug, DEFAULT_TIME_ZONE)
            changes.created.append({"id": known.id, "slug": slug, "name": known.name, "time_zone": known.time_zone})
        elif name not in (None, known.name):
            changes.updated.append({"id": known.id, "name": name})
        else:
            changes.unchanged.append(known.id)
        return known

    def house(self, tenant: KnownTenant, name: str, rows: Sequence[Row]) -> UUID:
        changes = self.plan.properties
        address = rows[0].address
        known = self.registered.properties.get((tenant.id, name))
        if known is None:
            known = KnownProperty(self.new_id(), address, None, None, None)
            changes.created.append({"id": known.id, "tenant_id": tenant.id, "name": name, "address": address})
        elif known.address != address:
            changes.updated.append({"id": known.id, "address": address})
        else:
            changes.unchanged.append(known.id)
        month = next((row.billing_start_month for row in rows if row.billing_start_month), None)
        interval = next((row.expected_interval for row in rows if row.expected_interval), None)
        time_zone = next((row.time_zone for row in rows if row.time_zone), None)
        self._config(known, month, interval, time_zone)
        return known.id

    def _config(
        self, known: KnownProperty, month: int | None, interval: timedelta | None, time_zone: str | None
    ) -> None:
        columns = {
            "property_id": known.id,
            "billing_start_month": month or known.billing_start_month or DEFAULT_BILLING_START_MONTH,
            "expected_interval": interval or known.expected_interval or DEFAULT_INTERVAL,
            "time_zone": time_zone or known.time_zone,
        }
        if known.billing_start_month is None:
            self.plan.configs.created.append(columns)
        elif (
            month not in (None, known.billing_start_month)
            or interval not in (None, known.expected_interval)
            or time_zone not in (None, known.time_zone)
        ):
            self.plan.configs.updated.append(columns)

    def unit(self, house_id: UUID, label: str) -> UUID:
        changes = self.plan.units
        known = self.registered.units.get((house_id, label))
        if known is not None:
            changes.unchanged.append(known)
            return known
        unit_id = self.new_id()
        changes.created.append({"id": unit_id, "property_id": house_id, "label": label})
        return unit_id

    def gateways(self, rows: Iterable[Row], places: Places) -> list[Problem]:
        changes = self.plan.gateways
        problems = []
        settled = set()
        for row in rows:
            if row.gateway_id is None:
                continue
            known = self.registered.gateways.get(row.gateway_id)
            tenant = places.tenants[row.tenant]
            if known is not None and known.tenant_id != tenant.id:
                problems.append(Problem(row.place, "gateway_id", row.gateway_id, "is a gateway of another tenant"))
            elif known is not None and known.deleted_at is not None:
                problems.append(Problem(row.place, "gateway_id", row.gateway_id, "is a gateway no longer in use"))
            elif row.gateway_id not in settled:
                settled.add(row.gateway_id)
                if known is None:
                    changes.created.append({"id": row.gateway_id, "tenant_id": tenant.id, "name": row.gateway_id})
                else:
                    changes.unchanged.append(row.gateway_id)
        return problems
