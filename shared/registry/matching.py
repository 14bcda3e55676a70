"""Which registered installation a row is about, and how the installation is to be."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from shared.registry.dates import DatedRow
from shared.registry.plan_places import Places
from shared.registry.problems import Place, Problem
from shared.registry.registered import Installation, KnownInstallation, Registered
from shared.registry.rows import Row


@dataclass(slots=True)
class Target:
    """An installation as it is to be: that of a row, or a registered one that no row speaks of."""

    installation: Installation
    known: KnownInstallation | None
    row: Row | None

    @property
    def where(self) -> str:
        """Where a person finds it."""
        if self.row is not None:
            return f"{self.row.property}, {self.row.unit} ({self.row.place})"
        return self.known.where if self.known is not None else ""


def match(
    dated_rows: Sequence[DatedRow], registered: Registered, places: Places, *, new_id: Callable[[], UUID]
) -> tuple[list[Target], list[Problem]]:
    """A target for each row, and for each registered installation that no row is about.

    A row is about the installation of its id; without one, about that of its serial with the same `installed_at`;
    else about the one of its serial that is in the same unit now, whose `installed_at` it corrects; else it is new.
    """
    candidates = _Candidates(registered, places)
    exact = [(dated, candidates.exact(dated)) for dated in dated_rows]
    targets = []
    for dated, found in exact:
        if isinstance(found, Problem):
            continue
        known = found or candidates.correctable(dated)
        installation_id = known.installation.id if known else dated.row.installation_id or new_id()
        targets.append(Target(_desired(dated, known, places, installation_id), known, dated.row))
    taken = {target.installation.id for target in targets}
    others = (known for id_, known in registered.installations.items() if id_ not in taken)
    targets += [Target(replace(known.installation), known, None) for known in others]
    return targets, [found for _, found in exact if isinstance(found, Problem)]


class _Candidates:
    """The registered installations, and which row has claimed which."""

    def __init__(self, registered: Registered, places: Places) -> None:
        self._by_id = registered.installations
        self._by_serial: dict[tuple[UUID, str], list[KnownInstallation]] = defaultdict(list)
        for known in registered.installations.values():
            it = known.installation
            self._by_serial[it.tenant_id, it.meter_serial].append(known)
        self._places = places
        self._claims: dict[Hashable, Place] = {}

    def exact(self, dated: DatedRow) -> KnownInstallation | Problem | None:
        """The installation that the row names by its id or its serial and time; None when there is none."""
        row = dated.row
        tenant_id = self._places.tenants[row.tenant].id
        same_begin = next(
            (
                known
                for known in self._by_serial.get((tenant_id, row.meter_serial), ())
                if known.installation.installed_at == dated.installed_at
            ),
            None,
        )
        by_id = self._by_id.get(row.installation_id) if row.installation_id else None
        if by_id is not None and by_id.installation.tenant_id != tenant_id:
            return Problem(
                row.place, "installation_id", str(row.installation_id), "is an installation of another tenant"
            )
        if row.installation_id and same_begin and by_id is not same_begin:
            reason = f"is registered as installation {same_begin.installation.id}"
            return Problem(row.place, "meter_serial", row.meter_serial, reason)
        known = by_id or same_begin
        if known is not None and by_id is None and known.installation.unit_id != self._unit_of(row):
            reason = (
                f"is installed in {known.where} since that time; a meter that was moved is a new installation with"
                f" an installed_at of its own and replaces_serial {row.meter_serial}"
            )
            return Problem(row.place, "meter_serial", row.meter_serial, reason)
        earlier = self._claim(dated, tenant_id, known)
        if earlier is not None:
            return Problem(row.place, "meter_serial", row.meter_serial, f"is on {earlier} too")
        return known

    def correctable(self, dated: DatedRow) -> KnownInstallation | None:
        """The unclaimed installation of the row's meter that is in the row's unit now."""
        row = dated.row
        if row.installation_id is not None or row.replaces_serial == row.meter_serial:
            return None
        tenant_id = self._places.tenants[row.tenant].id
        for known in self._by_serial.get((tenant_id, row.meter_serial), ()):
            it = known.installation
            if it.deleted_at is None and it.unit_id == self._unit_of(row) and it.id not in self._claims:
                self._claims[it.id] = row.place
                return known
        return None

    def _unit_of(self, row: Row) -> UUID:
        return self._places.units[row.tenant, row.property, row.unit]

    def _claim(self, dated: DatedRow, tenant_id: UUID, known: KnownInstallation | None) -> Place | None:
        """Note the row's claim; returns the place of the row that was first, if another was."""
        row = dated.row
        names: list[Hashable] = [(tenant_id, row.meter_serial, dated.installed_at)]
        if known is not None or row.installation_id is not None:
            names.append(known.installation.id if known is not None else row.installation_id)
        earlier = next((self._claims[name] for name in names if name in self._claims), None)
        for name in names:
            self._claims.setdefault(name, row.place)
        return earlier


def _desired(dated: DatedRow, known: KnownInstallation | None, places: Places, installation_id: UUID) -> Installation:
    row = dated.row
    was = known.installation if known is not None else None
    return Installation(
        id=installation_id,
        tenant_id=places.tenants[row.tenant].id,
        unit_id=places.units[row.tenant, row.property, row.unit],
        gateway_id=row.gateway_id if was is None or "gateway_id" in row.said else was.gateway_id,
        meter_serial=row.meter_serial,
        medium=str(row.medium),
        unit_of_measure=str(row.unit_of_measure),
        value_field=row.value_field if was is None or "value_field" in row.said else was.value_field,
        installed_at=dated.installed_at,
        # An end is never taken back: a meter that is mounted again is a new installation.
        deleted_at=dated.deleted_at or (was.deleted_at if was is not None else None),
        replaces_id=was.replaces_id if was is not None and "replaces_serial" not in row.said else None,
    )
