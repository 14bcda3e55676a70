"""What ingest knows of gateways and installations; good for as long as the registry has one version."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.ingest.moments import NO_MOMENT, moment
from shared.models import Medium, UnitOfMeasure

EARLY_TOLERANCE = timedelta(days=1)
"""Meters are often read before they are registered as installed; but one message of wild old times would make a
thousand chunks and exhaust the server's locks."""

MOST_INSTALLATIONS = 50_000
"""How many a process remembers, at some kilobyte each; when there are more it begins anew."""


@dataclass(frozen=True, eq=False, slots=True)
class Installation:
    """What a verdict needs to know of a meter installation; one object an installation, compared by identity."""

    id: UUID
    tenant_id: UUID
    installed_at: datetime
    deleted_at: datetime | None
    medium: Medium
    unit_of_measure: UnitOfMeasure
    value_field: str | None
    packed_id: bytes = field(init=False, repr=False)
    first_key: int = field(init=False, repr=False)
    """With a reading's moment added, a number that only this reading has: the id stands above its 64 bits."""
    earliest: int = field(init=False, repr=False)
    """The moment from which on readings are taken."""
    until: int = field(init=False, repr=False)
    """The moment from which on they are not any more."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "packed_id", self.id.bytes)
        object.__setattr__(self, "first_key", self.id.int << 64)
        object.__setattr__(self, "earliest", moment(self.installed_at) - EARLY_TOLERANCE // timedelta(microseconds=1))
        object.__setattr__(self, "until", NO_MOMENT if self.deleted_at is None else moment(self.deleted_at))


@dataclass(frozen=True)
class TenantMeters:
    """A tenant's installations, as its gateways name them."""

    by_written_id: dict[str, Installation] = field(default_factory=dict)
    """By their ids, in the usual ways to write one."""
    by_serial: dict[str, list[Installation]] = field(default_factory=dict)
    """All that ever had the serial."""


@dataclass(frozen=True)
class Registry:
    """The gateways and installations that are known so far. What is not known here may be registered all the same."""

    version: UUID | None = None
    tenants_of_gateways: dict[str, UUID] = field(default_factory=dict)
    disabled_gateways: dict[str, datetime] = field(default_factory=dict)
    """Of those that are out of use, since when they are."""
    by_id: dict[UUID, Installation] = field(default_factory=dict)
    meters: dict[UUID, TenantMeters] = field(default_factory=dict)

    def is_in_use(self, gateway_id: str) -> bool:
        """Whether a gateway is registered and not disabled."""
        return gateway_id in self.tenants_of_gateways and gateway_id not in self.disabled_gateways

    def meters_of(self, tenant_id: UUID) -> TenantMeters:
        """What is known of a tenant's installations; it can be added to."""
        return self.meters.setdefault(tenant_id, TenantMeters())

    def learn(self, installation: Installation) -> Installation:
        """Remember an installation; the object that stands for it, which may be one that was known before."""
        known = self.by_id.setdefault(installation.id, installation)
        # The usual ways to write it. There are thousands, and with all of them a gateway could fill the memory.
        usual = str(known.id)
        for written in (usual, usual.upper(), known.id.hex):
            self.meters_of(known.tenant_id).by_written_id[written] = known
        return known


class RegistryMemory:
    """Keeps what one transaction has learnt for the next ones, while the registry stays at the same version."""

    def __init__(self) -> None:
        self._registry = Registry()

    def at(self, version: UUID) -> Registry:
        """What is known of this version. One of an older version stays with the transaction that still uses it."""
        known = self._registry
        if known.version != version or len(known.by_id) > MOST_INSTALLATIONS:
            self._registry = known = Registry(version)
        return known
