"""What ingest is measured against, on the same rows, table and server: COPY alone, and one upsert a row."""

import time
from collections.abc import Sequence

import asyncpg
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.ingest.load import Row
from services.ingest.copy_rows import COLUMNS as COPIED
from shared.database import create_sessions, driver_arguments
from shared.models import Reading

COLUMNS = COPIED[1:]
"""Those of a `Row`: it is in no batch."""

COPY_ROWS_A_TRANSACTION = 10_000
ROWS_A_COMMIT = 150


async def copy_only(url: str, rows: Sequence[Row]) -> float:
    """Rows a second of COPY over one connection, 10,000 a transaction, from ready tuples into an empty `reading`."""
    connection = await asyncpg.connect(**driver_arguments(url, application_name="mbus-bench"))
    try:
        await connection.execute("TRUNCATE reading")
        begun = time.perf_counter()
        for start in range(0, len(rows), COPY_ROWS_A_TRANSACTION):
            async with connection.transaction():
                await connection.copy_records_to_table(
                    "reading", records=rows[start : start + COPY_ROWS_A_TRANSACTION], columns=COLUMNS
                )
        return len(rows) / (time.perf_counter() - begun)
    finally:
        await connection.close()


async def row_at_a_time(engine: AsyncEngine, rows: Sequence[Row]) -> float:
    """Rows a second of one upsert statement a row by SQLAlchemy, a commit per 150, into an empty `reading`."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE reading"))
    sessions = create_sessions(engine)
    begun = time.perf_counter()
    for start in range(0, len(rows), ROWS_A_COMMIT):
        async with sessions.begin() as session:
            for row in rows[start : start + ROWS_A_COMMIT]:
                values = dict(zip(COLUMNS, row, strict=True))
                upsert = insert(Reading).values(values)
                await session.execute(
                    upsert.on_conflict_do_update(
                        index_elements=["meter_installation_id", "timestamp"],
                        set_={name: upsert.excluded[name] for name in COLUMNS[2:]},
                    )
                )
    return len(rows) / (time.perf_counter() - begun)
