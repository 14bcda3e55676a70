"""Sends many deliveries again, as `redelivery` does one: a few at a time, each few in a transaction of their own."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Uuid

from services.alerts.operations.redelivery import PENDING, TRIED_ANEW, TRIED_NOW
from services.alerts.queries.delivery_selection import IS_PENDING, Selection
from shared.models import Delivery, Subscription

AT_ONCE = 500
"""Selected deliveries in one transaction; more go again with them where they went out in digests."""

HEAD = func.coalesce(Delivery.digest_id, Delivery.id)
"""What is tried: the first of the digest, or it alone."""

AGAIN = text(
    f"""
    UPDATE delivery d SET {TRIED_ANEW}, digest_id = coalesce(d.digest_id, d.id)
    WHERE (d.id = ANY (:heads) OR d.digest_id = ANY (:heads)) AND NOT ({PENDING})
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("heads", type_=ARRAY(Uuid())))

NOW = text(
    f"""
    UPDATE delivery d SET {TRIED_NOW}
    WHERE d.id = ANY (:heads) AND {PENDING} AND (d.digest_id IS NULL OR d.digest_id = d.id)
    """  # noqa: S608 - the code's own text
).bindparams(bindparam("heads", type_=ARRAY(Uuid())))


async def count_again(engine: AsyncEngine, selection: Selection) -> int:
    """How many deliveries go again with those selected, these included."""
    async with engine.connect() as connection:
        return await connection.scalar(_count(select(HEAD).where(*selection.conditions()))) or 0


async def redeliver_all(engine: AsyncEngine, selection: Selection) -> AsyncIterator[int]:
    """Let those that are there and selected now be sent again, with their digests; yields how many more are.

    What is tried just then by who sends, or is removed, is left as it is; so is what becomes selected meanwhile.
    """
    after: tuple[datetime, int] | None = None
    newest = await _newest(engine)
    while True:
        async with engine.begin() as connection:
            rows = await _next(connection, selection, after, newest)
            if not rows:
                return
            again = await _again(connection, sorted({row.head for row in rows}))
        async with engine.begin() as connection:
            await _let_try(connection, {row.subscription_id for row in rows})
        yield again
        after = rows[-1].created_at, rows[-1].position


async def _newest(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.max(Delivery.position))) or 0


async def _next(
    connection: AsyncConnection, selection: Selection, after: tuple[datetime, int] | None, newest: int
) -> Sequence[Any]:
    place = tuple_(Delivery.created_at, Delivery.position)
    beyond: list[ColumnElement[bool]] = [] if after is None else [place > after]
    asked = (
        select(Delivery.created_at, Delivery.position, Delivery.subscription_id, HEAD.label("head"))
        .where(*selection.conditions(), *beyond, Delivery.position <= newest)
        .order_by(Delivery.created_at, Delivery.position)
        .limit(AT_ONCE)
    )
    return (await connection.execute(asked)).all()


async def _again(connection: AsyncConnection, heads: Sequence[UUID]) -> int:
    """How many go again. None of those that others have locked is waited for, so that nobody waits for the other."""
    locked = select(Delivery.id, IS_PENDING.label("is_pending")).where(Delivery.id.in_(heads))
    found = (await connection.execute(locked.with_for_update(skip_locked=True))).all()
    pending = [row.id for row in found if row.is_pending]
    ended = [row.id for row in found if not row.is_pending]
    await connection.execute(NOW, {"heads": pending})
    await connection.execute(AGAIN, {"heads": ended})
    return await connection.scalar(_count([row.id for row in found])) or 0


def _count(heads: Select[UUID] | list[UUID]) -> Select[int]:
    return select(func.count()).where(or_(Delivery.id.in_(heads), Delivery.digest_id.in_(heads)))


async def _let_try(connection: AsyncConnection, subscription_ids: set[UUID | None]) -> None:
    row = Subscription
    held = row.held_until > func.statement_timestamp()
    await connection.execute(update(row).where(row.id.in_(subscription_ids), held).values(held_until=None))
