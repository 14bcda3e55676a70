"""What rules and marks are of, as callers name it: whether it is there, and within their reach."""

from dataclasses import dataclass
from uuid import UUID

from shared.http.reach import Reach
from shared.http.tenant_database import Connection

# `$1` is the tenant, `$2` the properties in reach, or NULL for all.
HAS_INSTALLATION = """
SELECT EXISTS (
    SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
    WHERE i.tenant_id = $1 AND ($2::uuid[] IS NULL OR u.property_id = ANY ($2))
      AND i.id = $3 AND i.deleted_at IS NULL)"""
HAS_PROPERTY = """
SELECT EXISTS (
    SELECT FROM property p
    WHERE p.tenant_id = $1 AND ($2::uuid[] IS NULL OR p.id = ANY ($2)) AND p.id = $3 AND p.deleted_at IS NULL)"""
# A gateway is where the meters are that are expected by it.
HAS_GATEWAY = """
SELECT EXISTS (
    SELECT FROM gateway g
    WHERE g.tenant_id = $1 AND g.id = $3 AND g.deleted_at IS NULL AND ($2::uuid[] IS NULL OR EXISTS (
        SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
        WHERE i.tenant_id = $1 AND i.gateway_id = g.id AND u.property_id = ANY ($2))))"""


class BeyondReachError(Exception):
    """What is to be changed concerns more than the properties to which the caller is narrowed."""


class NoTargetError(Exception):
    """What something is to be of is not there; `field` names it."""

    def __init__(self, field: str) -> None:
        super().__init__(f"there is no such {field.removesuffix('_id')}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Target:
    """One of these, or none."""

    installation_id: UUID | None = None
    property_id: UUID | None = None
    gateway_id: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether it is none of them."""
        return self.installation_id is None and self.property_id is None and self.gateway_id is None


async def check_there(connection: Connection, reach: Reach, target: Target) -> None:
    """Raise `NoTargetError` where what is named is not there for the caller."""
    properties = None if reach.property_ids is None else sorted(reach.property_ids)
    for field, named, is_there in (
        ("installation_id", target.installation_id, HAS_INSTALLATION),
        ("property_id", target.property_id, HAS_PROPERTY),
        ("gateway_id", target.gateway_id, HAS_GATEWAY),
    ):
        if named is not None and not await connection.fetchval(is_there, reach.tenant_id, properties, named):
            raise NoTargetError(field)
