"""What a list of installations is narrowed to: the filters that a caller gives, and the conditions that they become."""

from dataclasses import dataclass, replace
from uuid import UUID

from services.query.queries.conditions import Conditions
from services.query.queries.search import pattern_with
from shared.http.reach import Reach
from shared.models import InstallationState, Medium

IN_UNITS = (
    "i.unit_id IN (SELECT u.id FROM unit u JOIN property p ON p.id = u.property_id WHERE p.tenant_id = $1 AND {})"
)
OF_PROPERTIES = IN_UNITS.format("p.id = ANY ({}::uuid[])")
# Of many, each installation is asked where it is: from property to property, the planner takes 50,000 for 20. `IS TRUE`
# hides from it that this is a join.
OF_MANY_PROPERTIES = f"({OF_PROPERTIES}) IS TRUE"
FEW_PROPERTIES = 4
WITH_TEXT = IN_UNITS.format("(p.name ILIKE {0} OR p.address ILIKE {0})")


@dataclass(frozen=True, slots=True)
class InstallationFilters:
    """Which installations: all filters hold at once, and of a set one is enough. An empty one is none.

    `text` is searched for, without regard to case, in the serial and in the property's name and address; `%`
    and `_` in it are themselves. `states` alone may be empty, and then nothing is in it.
    """

    states: frozenset[InstallationState] | None = None
    media: frozenset[Medium] = frozenset()
    property_ids: frozenset[UUID] = frozenset()
    unit_ids: frozenset[UUID] = frozenset()
    gateway_ids: frozenset[str] = frozenset()
    text: str = ""

    @property
    def are_of_installation(self) -> bool:
        """Whether any looks at the installation itself and not only at its state."""
        return replace(self, states=None) != InstallationFilters()

    def key(self) -> tuple[object, ...]:
        """The filters, the same for the same ones in any order: what a cursor is bound to."""
        return (
            None if self.states is None else sorted(self.states),
            sorted(self.media),
            sorted(self.property_ids),
            sorted(self.unit_ids),
            sorted(self.gateway_ids),
            self.text,
        )


def installations_within(reach: Reach) -> Conditions:
    """The first of the two locks on what a caller may see. `$1` is the tenant."""
    conditions = Conditions(("i.tenant_id = $1",), ("s.tenant_id = $1",), (reach.tenant_id,))
    return conditions if reach.property_ids is None else _in_properties(conditions, reach.property_ids)


def installations_with(reach: Reach, filters: InstallationFilters) -> Conditions:
    """Those within `reach` that `filters` let through; the deleted ones are not among them."""
    conditions = installations_within(reach).also("i.deleted_at IS NULL")
    if filters.states is not None:
        conditions = _in_states(conditions, filters.states)
    if filters.media:
        conditions = conditions.also("i.medium = ANY ({}::text[])", sorted(filters.media))
    if filters.gateway_ids:
        conditions = conditions.also("i.gateway_id = ANY ({}::text[])", sorted(filters.gateway_ids))
    if filters.unit_ids:
        conditions = conditions.also("i.unit_id = ANY ({}::uuid[])", sorted(filters.unit_ids))
    if filters.property_ids:
        conditions = _in_properties(conditions, filters.property_ids)
    if filters.text:
        conditions = conditions.also(f"(i.meter_serial ILIKE {{0}} OR {WITH_TEXT})", pattern_with(filters.text))
    return conditions


def are_in_few_places(reach: Reach, filters: InstallationFilters) -> bool:
    """Whether the units or properties leave so few that finding them all is quicker than walking along the order."""
    return bool(filters.unit_ids) or any(
        ids and len(ids) <= FEW_PROPERTIES for ids in (reach.property_ids, filters.property_ids)
    )


def _in_properties(conditions: Conditions, property_ids: frozenset[UUID]) -> Conditions:
    text = OF_PROPERTIES if len(property_ids) <= FEW_PROPERTIES else OF_MANY_PROPERTIES
    return conditions.also(text, sorted(property_ids))


def _in_states(conditions: Conditions, states: frozenset[InstallationState]) -> Conditions:
    """One state that is not fresh is a range of an index, in the order of the list. For an array it would not be."""
    if len(states) == 1:
        return conditions.also_of_status("s.state = {}", *states)
    return conditions.also_of_status("s.state = ANY ({}::text[])", sorted(states))
