"""The database goes away, comes back, or ends connections, while gateways go on sending."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.books import Books
from tests.faults.processes import Ingest
from tests.faults.sending import Fleet
from tests.support.own_servers import OwnServer

pytestmark = pytest.mark.faults

AWAY_S = 30
STARTED_WITHIN_S = 20
BACK_WITHIN_S = 10


async def test_a_restart(own_database: OwnServer, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    await ingest.start()
    async with books.streaming(fleet):
        await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
        await asyncio.to_thread(own_database.stop)
        await asyncio.to_thread(own_database.start)
        await books.get_through(fleet.batch(), within_s=BACK_WITHIN_S)
    await books.balance(ingest)


async def test_away_for_half_a_minute(own_database: OwnServer, ingest: Ingest, fleet: Fleet, books: Books) -> None:
    await ingest.start()
    await books.get_through(fleet.batch(), within_s=STARTED_WITHIN_S)
    await asyncio.to_thread(own_database.stop)
    async with books.streaming(fleet):
        await asyncio.sleep(AWAY_S)  # what is tested is so long an absence
    await asyncio.to_thread(own_database.start)
    await books.get_through(fleet.batch(), within_s=BACK_WITHIN_S)
    await books.balance(ingest)


async def test_its_connections_are_ended_again_and_again(
    engine: AsyncEngine, ingest: Ingest, fleet: Fleet, books: Books
) -> None:
    ended = 0
    await ingest.start()
    async with books.streaming(fleet), engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while ended < 20:
            ended += await autocommit.scalar(text(END_CONNECTIONS)) or 0
            await asyncio.sleep(0.05)  # the time between two faults, not a wait for anything
    await books.balance(ingest)


END_CONNECTIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'mbus-ingest'
"""
