"""Looks at what is in quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.models import Gateway, QuarantinedReading, Tenant
from shared.quarantine.selection import Selection, State
from shared.registry.tenants import find_tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A quarantined reading. `tenant` is the slug of the gateway's tenant, if the gateway is registered."""

    id: int
    gateway_id: str
    tenant: str | None
    format: str
    reason: str
    detail: str
    awaits: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    seen_count: int
    replayed_at: datetime | None

    @property
    def state(self) -> State:
        """Whether it still waits, or was replayed."""
        return State.WAITING if self.replayed_at is None else State.REPLAYED


@dataclass(frozen=True)
class Page:
    """Some of the selected readings, the newest first; `next_cursor` says where the following ones begin."""

    items: list[Quarantined]
    next_cursor: int | None


async def count_by_reason(engine: AsyncEngine, selection: Selection) -> dict[str, int]:
    """How many are selected of each reason, the most frequent first. Raises `RegistryError` for an unknown tenant."""
    async with engine.connect() as connection:
        if selection.tenant is not None:
            await find_tenant(connection, selection.tenant)
        number = func.count().label("number")
        counted = await connection.execute(
            select(QuarantinedReading.reason, number)
            .where(*selection.conditions())
            .group_by(QuarantinedReading.reason)
            .order_by(number.desc(), QuarantinedReading.reason)
        )
        return {row.reason: row.number for row in counted}


async def find_page(engine: AsyncEngine, selection: Selection, *, limit: int, cursor: int | None = None) -> Page:
    """Up to `limit` of those selected, without their original texts."""
    asked = _rows().where(*selection.conditions()).order_by(QuarantinedReading.id.desc()).limit(limit + 1)
    if cursor is not None:
        asked = asked.where(QuarantinedReading.id <= cursor)
    async with engine.connect() as connection:
        found = [Quarantined(**row) for row in (await connection.execute(asked)).mappings()]
    return Page(found[:limit], found[limit].id if len(found) > limit else None)


async def find_one(engine: AsyncEngine, id_: int) -> tuple[Quarantined, bytes] | None:
    """A reading with its original text, whatever its state; None where there is none."""
    asked = _rows().where(QuarantinedReading.id == id_)
    async with engine.connect() as connection:
        row = (await connection.execute(asked)).mappings().one_or_none()
        if row is None:
            return None
        original = await connection.scalar(select(QuarantinedReading.original).where(QuarantinedReading.id == id_))
        return Quarantined(**row), original or b""


async def not_selected(engine: AsyncEngine, selection: Selection) -> tuple[list[int], list[int]]:
    """Of the ids that `selection` names, those of no reading, and those of one that something else of it leaves out."""
    row = QuarantinedReading
    async with engine.connect() as connection:
        there = set(await connection.scalars(select(row.id).where(row.id.in_(selection.ids))))
        selected = set(await connection.scalars(select(row.id).where(*selection.conditions())) if selection.ids else ())
    named = sorted(set(selection.ids))
    return [id_ for id_ in named if id_ not in there], [id_ for id_ in named if id_ in there - selected]


async def newest_id(engine: AsyncEngine) -> int:
    """The highest id there is: what is quarantined later has a higher one."""
    async with engine.connect() as connection:
        return await connection.scalar(select(func.max(QuarantinedReading.id))) or 0


async def next_ids(engine: AsyncEngine, selection: Selection, *, after: int, up_to: int, limit: int) -> Sequence[int]:
    """The ids of the next ones selected, in their order."""
    between = (QuarantinedReading.id > after, QuarantinedReading.id <= up_to)
    asked = select(QuarantinedReading.id).where(*between, *selection.conditions())
    async with engine.connect() as connection:
        return (await connection.scalars(asked.order_by(QuarantinedReading.id).limit(limit))).all()


def _rows() -> Select[int, str, str | None, str, str, str, str | None, datetime, datetime, int, datetime | None]:
    row = QuarantinedReading
    return (
        select(
            row.id,
            row.gateway_id,
            Tenant.slug.label("tenant"),
            row.format,
            row.reason,
            row.detail,
            row.awaits,
            row.first_seen_at,
            row.last_seen_at,
            row.seen_count,
            row.replayed_at,
        )
        .join(Gateway, Gateway.id == row.gateway_id, isouter=True)
        .join(Tenant, Tenant.id == Gateway.tenant_id, isouter=True)
    )
