"""Writes a plan to the database: few statements, each with many rows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Table, bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.models import (
    Base,
    Gateway,
    InstallationState,
    InstallationStatus,
    MeterInstallation,
    Property,
    PropertyConfig,
    Tenant,
    Unit,
)
from shared.registry.changes import Columns, Plan
from shared.registry.registered import Installation

ROWS_A_STATEMENT = 5_000

Progress = Callable[[str, int, int], None]
"""Told what is being written, how many rows of it are, and of how many."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody."""


async def carry_out(session: AsyncSession, plan: Plan, *, now: datetime, progress: Progress) -> None:
    """Write all changes of `plan` in the session's transaction."""
    writer = _Writer(session, progress)
    for model, changes in (
        (Tenant, plan.tenants),
        (Property, plan.properties),
        (PropertyConfig, plan.configs),
        (Unit, plan.units),
        (Gateway, plan.gateways),
    ):
        await writer.update(model, changes.updated)
        await writer.insert(model, changes.created)
    installations = plan.installations
    # What ends goes before what begins: a meter is in one place at a time.
    await writer.update(MeterInstallation, [_correctable(it) for it in installations.updated])
    # What is replaced is older than what replaces it, so each link finds its end.
    created = sorted(installations.created, key=lambda it: it.installed_at)
    await writer.insert(MeterInstallation, [asdict(it) for it in created])
    await writer.update(
        MeterInstallation, [{"id": it.id, "replaces_id": it.replaces_id} for it in installations.updated]
    )
    await _look_again(session, plan.redated, now)


class _Writer:
    def __init__(self, session: AsyncSession, progress: Progress) -> None:
        self._session = session
        self._progress = progress

    async def insert(self, model: type[Base], rows: Sequence[Columns]) -> None:
        """Insert rows that all have the same columns."""
        await self._execute(insert(_table(model)), rows, _table(model).name)

    async def update(self, model: type[Base], rows: Sequence[Columns]) -> None:
        """Update by primary key; rows that all have the same columns, the key among them."""
        if not rows:
            return
        table = _table(model)
        (key,) = table.primary_key.columns
        # A parameter of the same name as a column would be taken for a value to set.
        statement = (
            update(table)
            .where(key == bindparam("row_key"))
            .values({column: bindparam(column) for column in rows[0] if column != key.name})
        )
        renamed = [{"row_key" if name == key.name else name: value for name, value in row.items()} for row in rows]
        await self._execute(statement, renamed, table.name)

    async def _execute(self, statement: Executable, rows: Sequence[dict[str, Any]], what: str) -> None:
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            await self._session.execute(statement, part)
            self._progress(what, start + len(part), len(rows))


def _table(model: type[Base]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model} is no plain table")
    return table


def _correctable(installation: Installation) -> Columns:
    """The columns that a correction may change; `replaces_id` is set when what it points to is there."""
    columns = asdict(installation)
    del columns["tenant_id"], columns["replaces_id"]
    return columns


async def _look_again(session: AsyncSession, redated: Sequence[UUID], now: datetime) -> None:
    """Let alerts work out anew when installations fall due; a stale one only a reading can change."""
    if redated:
        await session.execute(
            update(InstallationStatus)
            .where(InstallationStatus.installation_id.in_(redated), InstallationStatus.state != InstallationState.STALE)
            .values(due_at=now)
        )
