"""All readings of a selection, as text that the database writes, piece by piece: a walk along the primary key.

Each piece is a statement of its own: none is long, and no connection is held while a client takes its time.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.query.database import QueryDatabase
from services.query.queries.export_forms import Form
from services.query.queries.readings import Selection
from shared.http.reach import Reach
from shared.http.tenant_database import Connection
from shared.http.tenant_share import TenantBusyError, TenantShare
from shared.service_database import NoFreeConnectionError

PIECE_ROWS = 10_000
"""Some 1.5 MB of CSV, which take the database 30 ms where it has the rows in its memory."""

PIECE_INSTALLATIONS = 500
"""At most so many are looked into for a piece."""

EXPORTS_A_TENANT = 2
"""So many may be under way at the same time in one process."""

INSTALLATIONS = "SELECT installations_to_export($1, $2, $3, $4, $5, $6)"
LINES = "SELECT * FROM readings_as_{form}($1, $2, $3, $4, $5, $6, $7)"

ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The readings of `installations`, their ids of `ID_BYTES` each, later than `after` and earlier than `before`."""

    installations: bytes
    after: datetime | None
    before: datetime | None


async def installations_to_export(database: QueryDatabase, *, reach: Reach, selection: Selection) -> bytes | None:
    """The ids of what is selected, or of all within `reach` where nothing is; None when the only one is not there."""
    async with database.driver_for(reach.tenant_id) as connection:
        found: bytes | None = await connection.fetchval(
            INSTALLATIONS,
            reach.tenant_id,
            reach.property_ids,
            selection.installation_ids or None,
            selection.property_ids or None,
            selection.unit_ids or None,
            selection.media or None,
        )
    return found if selection.is_of_one else found or b""


class Exports:
    """The exports that are under way in a process."""

    def __init__(self, database: QueryDatabase) -> None:
        self._database = database
        self._share = TenantShare(EXPORTS_A_TENANT, wait_s=0)

    async def pieces(self, reach: Reach, wanted: Wanted, form: Form) -> AsyncGenerator[bytes]:
        """Whole lines, in the order of the installations and then of time, after what stands before them.

        Raises `TenantBusyError` and `NoFreeConnectionError` before the first piece only: later a connection is waited
        for, and so what has begun is not broken off because others are busy.
        """
        async with self._share.place(reach.tenant_id):
            begin = form.begin
            async for lines in self._lines(reach, wanted, form):
                yield begin + lines
                begin = b""
            if begin:
                yield begin

    async def _lines(self, reach: Reach, wanted: Wanted, form: Form) -> AsyncIterator[bytes]:
        statement = LINES.format(form=form.name)
        first, last_time, begun = 0, None, False
        while first < len(wanted.installations):
            beyond = first + PIECE_INSTALLATIONS * ID_BYTES
            async with self._connection(reach.tenant_id, patient=begun) as connection:
                ((lines, rows, place, last_time),) = await connection.fetch(
                    statement,
                    reach.tenant_id,
                    reach.property_ids,
                    _ids(wanted.installations[first:beyond]),
                    wanted.after,
                    wanted.before,
                    last_time,
                    PIECE_ROWS,
                )
            if rows:
                yield lines
                begun = True
            first = first + (place - 1) * ID_BYTES if rows == PIECE_ROWS else beyond

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
