"""Keeps the index by which the feed of changes finds batches up to date (docs/architecture/changes.md)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from shared.ending import end
from shared.logs import get_logger
from shared.service_database import ServiceDatabase

EVERY_S = 2.0
"""What was stored since the last time, each page of the feed reads in vain: a few milliseconds."""

SHARE_OF_TIME = 20
"""Between two times at least so many times what the last one took."""

SUMMARISE = text("SELECT summarise_batches()")

log = get_logger(__name__)


class Summarising:
    """Asks the database for it, again and again; of several processes, one at a time does it."""

    def __init__(self, database: ServiceDatabase) -> None:
        self._database = database

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do so until the block ends."""
        at_work = asyncio.create_task(self._run(), name="summarising")
        try:
            yield
        finally:
            await end(at_work)

    async def _run(self) -> None:
        failing = False
        while True:
            started = time.perf_counter()
            try:
                await self.summarise()
            except Exception as error:  # noqa: BLE001 - whatever it is: ingest goes on, and the feed is only slower
                if not failing:
                    log.warning("batches_not_summarised", error=repr(error))
                failing = True
            else:
                failing = False
            await asyncio.sleep(max(EVERY_S, SHARE_OF_TIME * (time.perf_counter() - started)))

    async def summarise(self) -> None:
        """Do it once. What another is at work on is left to that one; raises what a database that is away raises."""
        async with self._database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(SUMMARISE)
