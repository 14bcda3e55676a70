"""What a caller may see: one tenant, and of it all properties or only some."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Reach:
    """A tenant, and the properties to which a token narrows it; None means all of them, none means nothing."""

    tenant_id: UUID
    property_ids: frozenset[UUID] | None = None
