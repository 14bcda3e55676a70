"""Readings in numbered batches, by which the feed of changes finds them, and what the feed is told of these."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, DateTime, Integer, Uuid

from services.ingest.copy_rows import row
from services.ingest.moments import time_of
from services.ingest.verdicts import Accepted

ROWS_A_BATCH = 5000
"""At most: a page of the feed reads a batch as a whole, also where only some of it is wanted."""

_NOTE = text("SELECT note_changes(:tenants, :numbers, :rows, :earliest, :latest)").bindparams(
    bindparam("tenants", type_=ARRAY(Uuid())),
    bindparam("numbers", type_=ARRAY(BigInteger())),
    bindparam("rows", type_=ARRAY(Integer())),
    bindparam("earliest", type_=ARRAY(DateTime(timezone=True))),
    bindparam("latest", type_=ARRAY(DateTime(timezone=True))),
)


class Batch(NamedTuple):
    """Readings of one tenant as rows for COPY, by key; all lie between two moments (services.ingest.moments)."""

    number: int
    tenant_id: UUID
    rows: Sequence[bytes]
    earliest: int
    latest: int


class Stored(NamedTuple):
    """How many readings of a batch were stored or corrected; they lie between two moments."""

    number: int
    tenant_id: UUID
    readings: int
    earliest: int
    latest: int


def in_batches(readings: Sequence[Accepted], numbers: Iterator[int]) -> list[Batch]:
    """`readings` by tenant and by key: in one order for all writers.

    So two statements on the same keys wait for each other instead of deadlocking; the index is filled from one end to
    the other; and what is a tenant's lies together.
    """
    batches: list[Batch] = []
    for tenant_id, of_tenant in sorted(_by_tenant(readings).items()):
        moments = [reading.at for reading in of_tenant]
        earliest, latest = min(moments), max(moments)
        rows = sorted(map(row, of_tenant))
        for start in range(0, len(rows), ROWS_A_BATCH):
            some = rows[start : start + ROWS_A_BATCH]
            batches.append(Batch(next(numbers), tenant_id, some, earliest, latest))
    return batches


def _by_tenant(readings: Sequence[Accepted]) -> dict[UUID, list[Accepted]]:
    """Message by message, for all of one is of one tenant."""
    found: dict[UUID, list[Accepted]] = {}
    for _, group in groupby(readings, key=attrgetter("delivery")):
        of_message = list(group)
        found.setdefault(of_message[0].installation.tenant_id, []).extend(of_message)
    return found


async def tell_feed(connection: AsyncConnection, stored: Sequence[Stored]) -> None:
    """Give batches their places in the feed: last in their transaction, for until it ends all other writers wait."""
    if not stored:
        return
    parameters = {
        "tenants": [one.tenant_id for one in stored],
        "numbers": [one.number for one in stored],
        "rows": [one.readings for one in stored],
        "earliest": [time_of(one.earliest) for one in stored],
        "latest": [time_of(one.latest) for one in stored],
    }
    await connection.execute(_NOTE, parameters)
