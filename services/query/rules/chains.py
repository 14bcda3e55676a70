"""Which meters counted the same thing one after the other: an exchanged meter continues its predecessor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from shared.models import Medium, UnitOfMeasure
from shared.units import units_like


@dataclass(frozen=True, slots=True)
class Meter:
    """An installation, as far as it matters for what it counted."""

    id: UUID
    unit_id: UUID
    medium: Medium
    unit_of_measure: UnitOfMeasure
    installed_at: datetime
    deleted_at: datetime | None
    replaces_id: UUID | None

    def continues(self, other: Self) -> bool:
        """Whether it counts on what `other` did: in the same place, of the same medium and quantity.

        One that came from another flat replaces itself there, and what it counted before belongs to that flat.
        """
        return (
            self.replaces_id == other.id
            and (self.unit_id, self.medium) == (other.unit_id, other.medium)
            and other.unit_of_measure.lower() in units_like(self.unit_of_measure)
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A meter, and the time in which what it showed counts: from `since` on and before `until`; None is no bound."""

    meter: Meter
    since: datetime | None
    until: datetime | None


Chain = Sequence[Link]
"""The meters of one place, the oldest first."""


def chain_of(meter: Meter, others: Iterable[Meter]) -> Chain:
    """The meter and those of the others that it continues."""
    return _taken(meter, {other.id: other for other in others if other.id != meter.id})


def chains_of(meters: Iterable[Meter]) -> list[Chain]:
    """All of the meters in chains, each in one, also where two say that they replace the same."""
    left = {meter.id: meter for meter in sorted(meters, key=lambda meter: (meter.installed_at, meter.id))}
    chains = []
    while left:
        _, newest = left.popitem()
        chains.append(_taken(newest, left))
    return chains


def _taken(meter: Meter, left: dict[UUID, Meter]) -> Chain:
    """The meter with what it continues, which is taken out of `left`."""
    links: list[Link] = []
    end = None
    while True:
        until = min((time for time in (end, meter.deleted_at) if time is not None), default=None)
        # One that replaces something else begins when it was mounted: before, its place was another one's.
        links.append(Link(meter, None if meter.replaces_id is None else meter.installed_at, until))
        end = min(time for time in (until, meter.installed_at) if time is not None)
        before = None if meter.replaces_id is None else left.get(meter.replaces_id)
        if before is None or not meter.continues(before):
            return links[::-1]
        meter = left.pop(before.id)
