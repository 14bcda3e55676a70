"""The gateways in the registry: which there are, and taking one out of use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.models import Gateway, MeterInstallation, Tenant
from shared.registry.problems import RegistryError
from shared.registry.tenants import find_tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredGateway:
    """A gateway; `meters` counts those that it is expected to hear, `disabled_at` says since when it is out of use."""

    gateway_id: str
    tenant: str
    name: str
    meters: int
    disabled_at: datetime | None


async def find_gateways(engine: AsyncEngine, *, tenant: str | None = None) -> Sequence[RegisteredGateway]:
    """All gateways, or those of the tenant with this slug, by tenant and id."""
    async with engine.connect() as connection:
        asked = _gateways().order_by(Tenant.slug, Gateway.id)
        if tenant is not None:
            asked = asked.where(Tenant.id == await find_tenant(connection, tenant))
        return [RegisteredGateway(**row) for row in (await connection.execute(asked)).mappings()]


async def find_gateway(engine: AsyncEngine, gateway_id: str, *, tenant: str | None = None) -> RegisteredGateway:
    """The gateway with this id. Raises `RegistryError` where there is none, or it is not of `tenant`, if given."""
    async with engine.connect() as connection:
        row = (await connection.execute(_gateways().where(Gateway.id == gateway_id))).mappings().one_or_none()
    if row is None:
        raise RegistryError(f"there is no gateway {gateway_id!r}; `mbus gateway list` shows them")
    found = RegisteredGateway(**row)
    if tenant is not None and found.tenant != tenant:
        raise RegistryError(f"{gateway_id} is a gateway of another tenant")
    return found


async def disable_gateway(engine: AsyncEngine, gateway_id: str, *, now: datetime) -> None:
    """Note that a gateway is out of use from `now` on; one that is already stays as it is.

    Its account on the broker must be gone before: what the broker has accepted from it was accepted before `now`.
    """
    async with engine.begin() as connection:
        await connection.execute(
            update(Gateway).where(Gateway.id == gateway_id, Gateway.deleted_at.is_(None)).values(deleted_at=now)
        )


def _gateways() -> Select[tuple[str, str, str, int, datetime | None]]:
    meters = (
        select(func.count())
        .where(MeterInstallation.gateway_id == Gateway.id, MeterInstallation.deleted_at.is_(None))
        .scalar_subquery()
    )
    return select(
        Gateway.id.label("gateway_id"),
        Tenant.slug.label("tenant"),
        Gateway.name,
        meters.label("meters"),
        Gateway.deleted_at.label("disabled_at"),
    ).join(Tenant, Tenant.id == Gateway.tenant_id)
