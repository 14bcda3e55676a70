"""Replays quarantined readings: publishes their original texts again, and marks them when the broker has them.

A replay writes no reading itself; ingest judges what it publishes like any message, and quarantines it again if need
be. The rows are locked until they are marked, so that this verdict comes after the mark. Who dies in between replays
them twice, which changes nothing the second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import topology
from shared.models import QuarantinedReading
from shared.transmission import Transmission

if TYPE_CHECKING:
    from pamqp.common import FieldTable

ROWS_AT_ONCE = 100
BYTES_AT_ONCE = 4 * 1024 * 1024
"""Of original texts in memory; a single one may be larger."""

CONTENT_TYPE = "application/json"


@dataclass(frozen=True)
class Replay:
    """A message to publish to the exchange `gateways`."""

    routing_key: str
    body: bytes
    headers: "FieldTable"


Publish = Callable[[Replay], Awaitable[None]]
"""Publishes, mandatory, and returns when the broker has confirmed it; raises when it has not."""


@dataclass(frozen=True)
class Replayed:
    """Which rows were replayed, and the first error of those that were not."""

    ids: list[int]
    error: Exception | None


async def replay(
    engine: AsyncEngine, chosen: Select[int], publish: Publish, *, now: datetime, automatic: bool = False
) -> Replayed:
    """Replay the rows of `chosen`, a select of a few ids, in one transaction; those that others replay are left out."""
    async with engine.begin() as connection:
        of_chosen = QuarantinedReading.id.in_(chosen.scalar_subquery())
        locked = await connection.scalars(
            select(QuarantinedReading.id).where(of_chosen).with_for_update(skip_locked=True)
        )
        # Chosen once more: between the choice and the lock another may have replayed some, and marked them.
        rows = (
            await connection.execute(
                select(
                    QuarantinedReading.id,
                    QuarantinedReading.gateway_id,
                    QuarantinedReading.format,
                    QuarantinedReading.last_seen_at,
                    QuarantinedReading.may_correct,
                    func.octet_length(QuarantinedReading.original).label("size"),
                ).where(QuarantinedReading.id.in_(locked.all()), of_chosen)
            )
        ).all()
        replayed: list[int] = []
        error: Exception | None = None
        for few in _few_at_once(rows):
            done, error = await _publish(connection, few, publish)
            replayed += done
            if error is not None:
                break
        marks: dict[str, Any] = {"replayed_at": now} | ({"auto_replayed_at": now} if automatic else {})
        await connection.execute(update(QuarantinedReading).where(QuarantinedReading.id.in_(replayed)).values(marks))
    return Replayed(replayed, error)


def _few_at_once(rows: Sequence[Row[Any]]) -> Iterator[list[Row[Any]]]:
    few: list[Row[Any]] = []
    size = 0
    for row in rows:
        if few and size + row.size > BYTES_AT_ONCE:
            yield few
            few, size = [], 0
        few.append(row)
        size += row.size
    if few:
        yield few


async def _publish(
    connection: AsyncConnection, rows: Sequence[Row[Any]], publish: Publish
) -> tuple[list[int], Exception | None]:
    """The ids of those that the broker has confirmed, and the first error of the others."""
    found = await connection.execute(
        select(QuarantinedReading.id, QuarantinedReading.original).where(
            QuarantinedReading.id.in_([row.id for row in rows])
        )
    )
    originals = {row.id: row.original for row in found}
    outcomes = await asyncio.gather(
        *(publish(_message(row, originals[row.id])) for row in rows), return_exceptions=True
    )
    done: list[int] = []
    error: Exception | None = None
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome is None:
            done.append(row.id)
        elif isinstance(outcome, asyncio.CancelledError):  # nobody here did that: aio-pika, when a connection closes
            error = error or ConnectionResetError("the connection to the broker was closed")
        elif isinstance(outcome, Exception):
            error = error or outcome
        else:
            raise outcome
    return done, error


def _message(row: Row[Any], original: bytes) -> Replay:
    return Replay(
        routing_key=topology.gateway_key(row.gateway_id, topology.GatewayFormat(row.format)),
        body=original,
        headers=Transmission(row.last_seen_at, may_correct=row.may_correct).headers(),
    )
