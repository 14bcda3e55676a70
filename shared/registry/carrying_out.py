"""Writes a plan to the database: few statements, each with many rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

import asyncpg
from sqlalchemy import ARRAY, Table, Text, Uuid, bindparam, column, func, literal, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.models import (
    Base,
    Gateway,
    MeterInstallation,
    Property,
    PropertyConfig,
    Tenant,
    Unit,
)
from shared.registry.changes import Columns, Plan
from shared.registry.registered import Installation

ROWS_A_STATEMENT = 5_000

# What alerts is to look at again, each statement would lock for itself, and all of them together in no order.
LOCK = text("SELECT lock_statuses(:tenants, :installations, :gateways)").bindparams(
    bindparam("tenants", type_=ARRAY(Uuid())),
    bindparam("installations", type_=ARRAY(Uuid())),
    bindparam("gateways", type_=ARRAY(Text())),
)

Progress = Callable[[str, int, int], None]
"""Told what is being written, how many rows of it are, and of how many."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody."""


async def carry_out(session: AsyncSession, plan: Plan, *, progress: Progress) -> None:
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
    concerned = [*installations.created, *installations.updated]
    await session.execute(
        LOCK,
        {
            "tenants": list({it.tenant_id for it in concerned}),
            "installations": [it.id for it in installations.updated],
            "gateways": list({it.gateway_id for it in concerned if it.gateway_id}),
        },
    )
    # What ends goes before what begins: a meter is in one place at a time.
    await writer.update(MeterInstallation, [_correctable(it) for it in installations.updated])
    # What is replaced is older than what replaces it, so each link finds its end.
    created = sorted(installations.created, key=lambda it: it.installed_at)
    await writer.insert(MeterInstallation, [_columns(it) for it in created])
    await writer.update(
        MeterInstallation, [{"id": it.id, "replaces_id": it.replaces_id} for it in installations.updated]
    )


class _Writer:
    def __init__(self, session: AsyncSession, progress: Progress) -> None:
        self._session = session
        self._progress = progress

    async def insert(self, model: type[Base], rows: Sequence[Columns]) -> None:
        """Insert rows that all have the same columns, by COPY: one statement and one run of a trigger for many."""
        driver = (await (await self._session.connection()).get_raw_connection()).driver_connection
        if not isinstance(driver, asyncpg.Connection):
            raise TypeError(f"COPY needs asyncpg, not {type(driver)}")
        name = _table(model).name
        for part in self._parts(rows, name):
            await driver.copy_records_to_table(
                name, columns=list(part[0]), records=[tuple(row.values()) for row in part], timeout=None
            )

    async def update(self, model: type[Base], rows: Sequence[Columns]) -> None:
        """Update by primary key; rows that all have the same columns, the key among them. One statement, as above."""
        if not rows:
            return
        table = _table(model)
        (key,) = table.primary_key.columns
        columns = [table.c[name] for name in rows[0]]
        for part in self._parts(rows, table.name):
            lists = [literal([row[it.name] for row in part], ARRAY(it.type)) for it in columns]
            given = func.unnest(*lists).table_valued(*(column(it.name, it.type) for it in columns)).render_derived()
            await self._session.execute(
                update(table)
                .where(key == given.c[key.name])
                .values({it.name: given.c[it.name] for it in columns if it is not key})
            )

    def _parts(self, rows: Sequence[Columns], what: str) -> Iterator[Sequence[Columns]]:
        """The rows in handy parts; each is told of when the next is asked for."""
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            yield part
            self._progress(what, start + len(part), len(rows))


def _table(model: type[Base]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model} is no plain table")
    return table


def _columns(installation: Installation) -> Columns:
    return {field.name: getattr(installation, field.name) for field in fields(Installation)}


def _correctable(installation: Installation) -> Columns:
    """The columns that a correction may change; `replaces_id` is set when what it points to is there."""
    columns = _columns(installation)
    del columns["tenant_id"], columns["replaces_id"]
    return columns
