"""The tenants in the registry, by the names under which commands speak of them."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.models import Tenant
from shared.registry.problems import RegistryError


async def find_tenant(connection: AsyncConnection, slug: str) -> UUID:
    """The id of the tenant with this slug. Raises `RegistryError` where there is none."""
    found = await connection.scalar(select(Tenant.id).where(Tenant.slug == slug))
    if found is None:
        raise RegistryError(f"there is no tenant {slug!r}")
    return found


async def tenant_slugs(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, str]:
    """The slugs of those of the tenants that are there."""
    found = await connection.execute(select(Tenant.id, Tenant.slug).where(Tenant.id.in_(ids)))
    return {row.id: row.slug for row in found}
