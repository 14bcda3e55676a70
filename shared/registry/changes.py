"""What an import would change: rows to create and to update, and how many are as they should be."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.registry.registered import Installation

T = TypeVar("T")
Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes(Generic[T]):
    """The changes of one kind of thing."""

    created: list[T] = field(default_factory=list)
    updated: list[T] = field(default_factory=list)
    unchanged: list[UUID | str] = field(default_factory=list)
    """The ids of those that are as they should be."""

    @property
    def count(self) -> "Count":
        """How many there are of each."""
        return Count(len(self.created), len(self.updated), len(self.unchanged))


@dataclass(frozen=True, slots=True)
class Count:
    """How many things an import creates, updates and leaves as they are."""

    created: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes of an import, in the order in which they can be written."""

    tenants: Changes[Columns] = field(default_factory=Changes)
    properties: Changes[Columns] = field(default_factory=Changes)
    configs: Changes[Columns] = field(default_factory=Changes)
    units: Changes[Columns] = field(default_factory=Changes)
    gateways: Changes[Columns] = field(default_factory=Changes)
    installations: Changes[Installation] = field(default_factory=Changes)

    def counts(self) -> Iterator[tuple[str, Count]]:
        """What a person wants to know of each kind; a property's config is part of the property."""
        yield "tenants", self.tenants.count
        touched = {row["id"] for row in self.properties.updated} | {
            row["property_id"] for row in (*self.configs.created, *self.configs.updated)
        }
        created = {row["id"] for row in self.properties.created}
        updated = touched - created
        yield "properties", Count(len(created), len(updated), len(set(self.properties.unchanged) - updated))
        yield "units", self.units.count
        yield "gateways", self.gateways.count
        yield "installations", self.installations.count

    @property
    def changes_nothing(self) -> bool:
        """Whether everything is registered already."""
        return all(count.created == count.updated == 0 for _, count in self.counts())
