"""The program of docs/api.md that keeps a copy of all readings, killed again and again while ingest stores more."""

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.operations import Memory
from tests.docs.guide import FENCED
from tests.docs.test_api import GUIDES
from tests.services.query.feed import NOW, Key, message, readings_of, stored
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import Building, create_building
from tests.support.tokens import SECRET, headers_with

COMMITS = 20


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (found,) = [block[2] for block in FENCED.finditer(GUIDES["api.md"]) if block[2].startswith('"""mirror.py')]
    path = tmp_path / "mirror.py"
    path.write_text(found, encoding="utf-8")
    return path


def copied(program: Path) -> dict[Key, float]:
    """What the file has; the program may be at work on it."""
    with sqlite3.connect(f"file:{program.parent / 'mirror.sqlite'}?mode=ro", uri=True, timeout=30) as copy:
        return {(meter, time): value for meter, time, value in copy.execute("SELECT * FROM reading")}


async def test_the_mirror_of_the_guide_has_all_however_often_it_is_killed_and_begins_anew_after_a_restore(
    database: Database, engine: AsyncEngine, program: Path
) -> None:
    building = await create_building(engine)
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    token = headers_with("readings:read")(building.tenant_id)["Authorization"].removeprefix("Bearer ")
    async with running(variables) as (_, url):

        async def start() -> Process:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                program,
                cwd=program.parent,
                env={"PATH": os.environ["PATH"], "MBUS_QUERY_URL": url, "MBUS_TOKEN": token, "MIRROR_LIMIT": "2"},
                stdout=PIPE,
                stderr=PIPE,
            )

        async def to_the_end() -> None:
            process = await start()
            output, errors = await process.communicate()
            assert (process.returncode, errors.decode()) == (0, "")
            expected = await readings_of(engine, building)
            assert output.decode() == f"{len(expected)} readings\n"
            assert copied(program) == expected

        await to_the_end()
        writing = asyncio.create_task(_store(engine, building))
        kills = 0
        while not writing.done() or kills < 3:
            process = await start()
            # At any moment from its start to after its end.
            await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.1 + 0.07 * (kills % 7))
            if process.returncode is None:
                process.kill()
            await process.communicate()
            kills += 1
        await writing
        await to_the_end()
        async with engine.begin() as connection:
            lost = "SELECT batch FROM change_batch WHERE position > 5"
            await connection.execute(text(f"DELETE FROM reading WHERE batch IN ({lost})"))
            await connection.execute(text("DELETE FROM change_batch WHERE position > 5"))
        await to_the_end()


async def _store(engine: AsyncEngine, building: Building) -> None:
    memory = Memory()
    for commit in range(COMMITS):
        # Each corrects some of what was stored before.
        sent = [(meter, commit - back, float(commit)) for meter in range(3) for back in (0, 2)]
        await stored(engine, message(building, sent, received_at=NOW + timedelta(seconds=commit)), memory=memory)
        await asyncio.sleep(0)
