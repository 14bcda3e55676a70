"""Looks out for news of the tenants whose streams are open, once for all streams of a process, and wakes them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from shared.clock import Monotonic
from shared.ending import end
from shared.logs import get_logger
from shared.service_database import DATABASE_FAILURES, ServiceDatabase

LOOK_EVERY_S = 0.5

NEWEST = text("SELECT tenant_id, newest FROM alert_stream WHERE tenant_id = ANY (:tenant_ids)").bindparams(
    bindparam("tenant_ids", type_=ARRAY(Uuid()))
)

log = get_logger(__name__)


class Outlook:
    """What is known of one tenant, for all of its streams."""

    def __init__(self, stopping: asyncio.Event, monotonic: Monotonic) -> None:
        self.newest = 0
        """The newest number that was seen."""
        self.streams = 0
        self.reading = asyncio.Lock()
        """Of its streams one reads at a time: a tenant that keeps its connections busy holds up itself alone."""
        self._stopping = stopping
        self._monotonic = monotonic
        self._changed = asyncio.Event()

    def tell(self, newest: int) -> None:
        """Wake the streams: there is news, or the service stops."""
        self.newest = newest
        self._changed.set()
        self._changed = asyncio.Event()

    async def beyond(self, number: int, *, until: float) -> None:
        """Wait for a number beyond this one, and until then at most, by the monotonic clock; or until all stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - self._monotonic())):
                while self.newest <= number and not self._stopping.is_set():
                    await self._changed.wait()


class LookOut:
    """Looks while `running()` lasts and streams are open; wakes them all once `stopping` is set."""

    def __init__(
        self, database: ServiceDatabase, *, stopping: asyncio.Event, monotonic: Monotonic = time.monotonic
    ) -> None:
        self._database = database
        self._stopping = stopping
        self._monotonic = monotonic
        self._tenants: dict[UUID, Outlook] = {}
        self._wanted = asyncio.Event()
        """Set while streams are open."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look out in the background until the block ends."""
        tasks = asyncio.create_task(self._look_out(), name="look out"), asyncio.create_task(self._stop(), name="stop")
        try:
            yield
        finally:
            await end(*tasks)

    @contextmanager
    def of(self, tenant_id: UUID) -> Iterator[Outlook]:
        """The outlook of a tenant, for one stream while it is open."""
        outlook = self._tenants.setdefault(tenant_id, Outlook(self._stopping, self._monotonic))
        outlook.streams += 1
        self._wanted.set()
        try:
            yield outlook
        finally:
            outlook.streams -= 1
            if not outlook.streams:
                del self._tenants[tenant_id]
            if not self._tenants:
                self._wanted.clear()

    async def _look_out(self) -> None:
        failing = False
        while True:
            await self._wanted.wait()
            try:
                await self._look()
            except DATABASE_FAILURES as error:
                # It passes; the streams stay open meanwhile.
                if not failing:
                    log.warning("look_out_failed", error=repr(error))
                failing = True
            else:
                failing = False
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        async with self._database.engine.connect() as connection:
            found = (await connection.execute(NEWEST, {"tenant_ids": list(self._tenants)})).all()
        for tenant_id, newest in found:
            outlook = self._tenants.get(tenant_id)
            if outlook is not None and newest != outlook.newest:
                outlook.tell(newest)

    async def _stop(self) -> None:
        await self._stopping.wait()
        for outlook in self._tenants.values():
            outlook.tell(outlook.newest)
