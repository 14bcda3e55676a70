"""Exports of the running service: the same memory at any size, gone with their client, and broken when not whole."""

import asyncio
import json
import shutil
import sys
import zlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.queries.export import EXPORTS_A_TENANT
from tests.services.query.test_departures import waiting_are
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.registry import Building, create_building
from tests.support.tokens import SECRET, Headers

EACH = 10_000
"""Readings of each meter: 1.4 MB."""

MANY = 20
"""Meters, whose readings are more than there is room for on the way to a client that does not read."""

END_WAITING = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'mbus-query' AND wait_event_type = 'Lock' AND datname = current_database()"
)


async def create_filled(engine: AsyncEngine, *, meters: int) -> Building:
    """A building whose meters have `EACH` readings."""
    building = await create_building(engine, meters=meters)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO reading SELECT i.id, timestamptz '2026-01-01Z' + n * interval '30 minutes', n, now(),"
                " -70, 96 FROM meter_installation i, generate_series(1, :each) n WHERE i.tenant_id = :tenant"
            ),
            {"each": EACH, "tenant": building.tenant_id},
        )
    return building


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    """The service, and a client that takes answers as they are unless it says something else."""
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    unpacked = {"Accept-Encoding": "identity"}
    async with (
        running(variables) as (process, url),
        httpx2.AsyncClient(base_url=url, timeout=30, headers=unpacked) as client,
    ):
        yield process, client


def most_memory_mib(process: Process) -> float:
    """The most that it ever had resident."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory a process has")
@pytest.mark.parametrize("query", ["", "format=ndjson"])
async def test_memory_does_not_grow_with_the_size_of_an_export(
    database: Database, engine: AsyncEngine, headers: Headers, query: str
) -> None:
    sizes, most = [], []
    async with serving(database) as (process, client):
        for meters in (3, 40):
            building = await create_filled(engine, meters=meters)
            async with client.stream("GET", f"/readings/export?{query}", headers=headers(building.tenant_id)) as answer:
                sizes.append(sum([len(part) async for part in answer.aiter_raw()]))
            most.append(most_memory_mib(process))
    assert sizes[1] > 13 * sizes[0] > 50e6
    assert most[1] - most[0] < 16
    assert most[1] < 200


@asynccontextmanager
async def locked_installations(engine: AsyncEngine) -> AsyncIterator[None]:
    """Every export's next statement waits while it lasts."""
    async with engine.begin() as blocker:
        await blocker.execute(text("LOCK TABLE meter_installation IN ACCESS EXCLUSIVE MODE"))
        yield


async def drain(parts: AsyncIterator[bytes]) -> None:
    async for _ in parts:
        pass


@asynccontextmanager
async def waiting_export(
    engine: AsyncEngine, client: httpx2.AsyncClient, caller: dict[str, str]
) -> AsyncIterator["asyncio.Task[None]"]:
    """Reads an export of which a statement, not the first, waits for a lock; ends when the client goes."""
    async with client.stream("GET", "/readings/export", headers=caller) as answer:
        assert answer.status_code == 200
        parts = answer.aiter_raw()
        await anext(parts)
        async with locked_installations(engine):
            reading = asyncio.create_task(drain(parts))
            await waiting_are(1, engine)
            yield reading
            reading.cancel()
            await asyncio.wait([reading])
            await answer.aclose()
            async with asyncio.timeout(5):  # a statement may take 10 s, a wait for a lock two thirds of that
                await waiting_are(0, engine)


async def test_the_statement_of_a_client_that_goes_away_ends_with_it_and_its_place_is_free_again(
    database: Database, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_filled(engine, meters=MANY)
    caller = headers(building.tenant_id)
    async with serving(database) as (_, client):
        for _ in range(EXPORTS_A_TENANT + 1):
            async with waiting_export(engine, client, caller):
                pass
        assert (await client.get("/readings/export?medium=gas", headers=caller)).status_code == 200


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_export_that_fails_on_its_way_is_broken_for_the_client_to_see_and_told_in_the_log(
    database: Database, engine: AsyncEngine, headers: Headers, encoding: str
) -> None:
    building = await create_filled(engine, meters=MANY)
    caller = headers(building.tenant_id) | {"Accept-Encoding": encoding}
    async with serving(database) as (process, client), engine.connect() as watcher:
        async with waiting_export(engine, client, caller) as reading:
            await watcher.execute(END_WAITING)
            with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
                await reading
        assert process.stdout is not None
        async with asyncio.timeout(10):
            async for line in process.stdout:
                if json.loads(line)["event"] == "stream.broken":
                    break
        assert b"Traceback" not in line
        assert json.loads(line)["level"] == "warning"
        url = f"/readings?installation_id={building.installation_ids[0]}"
        assert (await client.get(url, headers=caller)).status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="it is about curl")
async def test_curl_tells_a_broken_export_from_a_whole_one(
    database: Database, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_filled(engine, meters=MANY)
    caller = headers(building.tenant_id)

    async def curl(url: httpx2.URL) -> Process:
        sent = [f"-H{name}: {value}" for name, value in caller.items()]
        return await asyncio.create_subprocess_exec(
            "curl", "-sS", *sent, str(url.join("/readings/export")), stdout=PIPE
        )

    async with serving(database) as (_, client), engine.connect() as watcher:
        whole, broken = await curl(client.base_url), await curl(client.base_url)
        output, _ = await whole.communicate()
        assert (whole.returncode, output.count(b"\r\n")) == (0, MANY * EACH + 1)
        async with locked_installations(engine):
            reading = asyncio.create_task(broken.communicate())
            await waiting_are(1, engine)
            await watcher.execute(END_WAITING)
            output, _ = await reading
        assert broken.returncode == 18  # transfer closed with outstanding read data remaining
        assert 0 < output.count(b"\r\n") < MANY * EACH


async def test_what_came_of_a_gzip_export_can_be_unpacked_whole(
    database: Database, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_filled(engine, meters=3)
    async with serving(database) as (_, client):
        plain = await client.get("/readings/export", headers=headers(building.tenant_id))
        packed = b""
        caller = headers(building.tenant_id) | {"Accept-Encoding": "gzip"}
        async with client.stream("GET", "/readings/export", headers=caller) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            async for part in answer.aiter_raw():
                packed += part
    assert "content-encoding" not in plain.headers
    assert len(packed) < len(plain.content) / 4
    assert zlib.decompress(packed, zlib.MAX_WBITS + 16) == plain.content
