"""All readings of a selection, as text that the database writes, piece by piece: a walk along the primary key.

Each piece is a statement of its own: none is long, and no connection is held while a client takes its time.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.query.database import QueryDatabase
from services.query.queries.export_forms import Form
from services.query.queries.readings import Selection
from shared.clock import Clock
from shared.http.problems import RETRY_AFTER_S, ProblemError
from shared.http.reach import Reach
from shared.http.tenant_database import Connection
from shared.http.tenant_share import TenantBusyError, TenantShare
from shared.service_database import NoFreeConnectionError

PIECE_ROWS = 10_000
"""Some 1.5 MB of CSV, which take the database 30 ms where it has the rows in its memory."""

PIECE_INSTALLATIONS = 500
"""At most so many are looked into for a piece."""

EXPORTS = 10
EXPORTS_A_TENANT = 2
"""So many may be under way at the same time in one process, and of a tenant: each takes some 10 MB."""

FEW_INSTALLATIONS = 100
"""Up to so many are exported one after the other, and more month by month."""

INSTALLATIONS = "SELECT * FROM installations_to_export($1, $2, $3, $4, $5, $6, $7, $8)"
LINES = "SELECT * FROM readings_as_{form}($1, $2, $3, $4, $5, $6, $7)"

ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Period:
    """Later than `after` and earlier than `before`; None is no bound."""

    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Installations, their ids of `ID_BYTES` each; where they are many, `since` is about when their readings begin."""

    installations: bytes
    since: datetime | None


async def choose_installations(
    database: QueryDatabase, *, reach: Reach, selection: Selection, period: Period
) -> Chosen | None:
    """What is selected, or all within `reach` where nothing is; None when the only one is not there."""
    async with database.driver_for(reach.tenant_id) as connection:
        ((installations, since),) = await connection.fetch(
            INSTALLATIONS,
            reach.tenant_id,
            reach.property_ids,
            selection.installation_ids or None,
            selection.property_ids or None,
            selection.unit_ids or None,
            selection.media or None,
            period.after,
            FEW_INSTALLATIONS,
        )
    return None if installations is None and selection.is_of_one else Chosen(installations or b"", since)


def blocks_of(period: Period, *, since: datetime | None, now: datetime) -> Iterator[Period]:
    """`period` in parts that follow each other: the months (UTC) from `since` to `now`, the first and last open.

    Where they are many, the readings of a month may lie together in the database's memory, and those of all time not.
    """
    begin = period.after
    edge = now if since is None else _next_month(since)
    while edge < min(now, period.before or now):
        yield Period(begin, edge)
        begin, edge = edge - timedelta.resolution, _next_month(edge)
    yield Period(begin, period.before)


class TooManyExportsError(ProblemError):
    """As many exports as the process can bear are under way; a 503."""

    def __init__(self) -> None:
        retry_after = {"Retry-After": str(RETRY_AFTER_S)}
        super().__init__(503, "Too many exports are under way. Try again.", headers=retry_after)


class Exports:
    """The exports that are under way in a process."""

    def __init__(self, database: QueryDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._share = TenantShare(EXPORTS_A_TENANT, wait_s=0, what="exports")
        self._under_way = 0

    async def pieces(self, reach: Reach, chosen: Chosen, period: Period, form: Form) -> AsyncGenerator[bytes]:
        """Whole lines, after what stands before them: by block, then in the order of the installations and of time.

        Raises `TenantBusyError`, `TooManyExportsError` and `NoFreeConnectionError` before the first piece only: later
        a connection is waited for, and so what has begun is not broken off because others are busy.
        """
        async with self._place(), self._share.place(reach.tenant_id):
            begun = False
            for block in blocks_of(period, since=chosen.since, now=self._clock()):
                async for lines in self._lines(reach, chosen.installations, block, form, patient=begun):
                    yield lines if begun else form.begin + lines
                    begun = True
            if not begun:
                yield form.begin

    async def _lines(
        self, reach: Reach, installations: bytes, block: Period, form: Form, *, patient: bool
    ) -> AsyncIterator[bytes]:
        statement = LINES.format(form=form.name)
        first, last_time = 0, None
        while first < len(installations):
            beyond = first + PIECE_INSTALLATIONS * ID_BYTES
            async with self._connection(reach.tenant_id, patient=patient) as connection:
                ((lines, rows, place, last_time),) = await connection.fetch(
                    statement,
                    reach.tenant_id,
                    reach.property_ids,
                    _ids(installations[first:beyond]),
                    block.after,
                    block.before,
                    last_time,
                    PIECE_ROWS,
                )
            if rows:
                yield lines
                patient = True
            first = first + (place - 1) * ID_BYTES if rows == PIECE_ROWS else beyond

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._under_way >= EXPORTS:
            raise TooManyExportsError
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    @asynccontextmanager
    async def _connection(self, tenant_id: UUID, *, patient: bool) -> AsyncIterator[Connection]:
        async with AsyncExitStack() as until_then:
            connection = None
            while connection is None:
                with suppress(*(TenantBusyError, NoFreeConnectionError) if patient else ()):
                    connection = await until_then.enter_async_context(self._database.driver_for(tenant_id))
            yield connection


def _ids(together: bytes) -> list[UUID]:
    return [UUID(bytes=together[at : at + ID_BYTES]) for at in range(0, len(together), ID_BYTES)]


def _next_month(time: datetime) -> datetime:
    """The next first of a month in UTC."""
    of_month = time.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (of_month + timedelta(days=31)).replace(day=1)
