"""Stands in for an ingest that has nothing to do: alerts judges no silence while nobody answers for what is in hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from sqlalchemy import text

from shared.database import open_engine
from shared.service_database import DATABASE_FAILURES
from tests.support.databases import Database

BEGIN = text("INSERT INTO ingest_session (id) VALUES (:id)")
ANSWER = text(
    "UPDATE ingest_session SET beat_at = clock_timestamp(), round = pipeline.round FROM pipeline WHERE id = :id"
)
END = text("DELETE FROM ingest_session WHERE id = :id")

ANSWER_EVERY_S = 0.1


@asynccontextmanager
async def idle_session(database: Database) -> AsyncIterator[None]:
    """A session of ingest that takes nothing from the queue, and says so to each round.

    What waits in `ingest.readings` is never received by it, so with messages there silence is not judged.
    """
    async with open_engine(database.ingest_url, application_name="mbus-tests-session") as engine:
        session_id = {"id": uuid4()}

        async def answer() -> None:
            while True:
                try:
                    async with engine.begin() as connection:
                        await connection.execute(ANSWER, session_id)
                except DATABASE_FAILURES:
                    await engine.dispose()  # a test has taken the database away; it may come back
                await asyncio.sleep(ANSWER_EVERY_S)

        async with engine.begin() as connection:
            await connection.execute(BEGIN, session_id)
        answering = asyncio.create_task(answer())
        try:
            yield
        finally:
            answering.cancel()
            await asyncio.wait([answering])
        async with engine.begin() as connection:
            await connection.execute(END, session_id)
