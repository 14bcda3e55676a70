"""Writes to the registry: one transaction a use case, opened here."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.clock import Clock
from shared.database import create_sessions
from shared.models import Gateway, Tenant
from shared.registry import cells
from shared.registry.carrying_out import Progress, carry_out, no_progress
from shared.registry.changes import Plan
from shared.registry.planning import make_plan
from shared.registry.problems import RefusedError, RegistryError
from shared.registry.records import Record
from shared.registry.registered import look_up
from shared.registry.rows import read_rows

REGISTRY_LOCK = 0x6D627265
"""An advisory lock key ("mbre"): registrations take turns, so that a plan still holds when it is written."""


async def import_registry(
    engine: AsyncEngine,
    records: Sequence[Record],
    *,
    clock: Clock,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Plan:
    """Make the registry as `records` say, all or nothing, and return what that changed (with `dry_run`: would).

    Doing it twice changes nothing the second time. Raises `RefusedError` with everything that is wrong.
    """
    rows, problems = read_rows(records)
    async with create_sessions(engine).begin() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REGISTRY_LOCK})
        now = clock()
        plan, wrong = make_plan(rows, await look_up(session, rows), now=now, new_id=uuid4)
        problems += wrong
        if problems:
            raise RefusedError(problems)
        if not dry_run:
            try:
                await carry_out(session, plan, progress=progress)
            except (IntegrityError, asyncpg.IntegrityConstraintViolationError) as error:
                reason = error.orig.__cause__ if isinstance(error, IntegrityError) and error.orig else error
                raise RegistryError(f"nothing was imported, the database refused: {reason}") from error
    return plan


async def check_gateway(engine: AsyncEngine, gateway_id: str, *, tenant: str) -> None:
    """Raise the `RegistryError` that `register_gateway` would raise; changes nothing."""
    async with create_sessions(engine)() as session:
        await _tenant_and_known(session, gateway_id, tenant)


async def register_gateway(engine: AsyncEngine, gateway_id: str, *, tenant: str, name: str | None) -> bool:
    """Make a gateway known as one of the tenant `tenant` (its slug); returns whether it is new.

    `name` renames one that is there; one that was disabled is taken into use again. Raises `RegistryError` when the id
    cannot be used or belongs to another tenant.
    """
    async with create_sessions(engine).begin() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REGISTRY_LOCK})
        tenant_id, known = await _tenant_and_known(session, gateway_id, tenant)
        if known is None:
            row = {"id": gateway_id, "tenant_id": tenant_id, "name": name or gateway_id}
            await session.execute(insert(Gateway), [row])
        else:
            values = {"deleted_at": None, "name": name or known.name}
            await session.execute(update(Gateway).where(Gateway.id == gateway_id).values(values))
    return known is None


async def _tenant_and_known(session: AsyncSession, gateway_id: str, tenant: str) -> tuple[UUID, Gateway | None]:
    """The id of the tenant, and the gateway if it is registered, as one of that tenant."""
    try:
        cells.gateway_id(gateway_id)
    except ValueError as error:
        raise RegistryError(f"the gateway id {error}") from None
    tenant_id = await session.scalar(select(Tenant.id).where(Tenant.slug == tenant))
    if tenant_id is None:
        raise RegistryError(f"there is no tenant {tenant!r}; `mbus registry import` creates one")
    known = await session.get(Gateway, gateway_id)
    if known is not None and known.tenant_id != tenant_id:
        raise RegistryError(f"{gateway_id} is a gateway of another tenant")
    return tenant_id, known
