"""The bench compares the same answers, tells a failure from a rate, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.database import open_database
from benchmarks.errors import BenchError
from benchmarks.query.bulk import export_s, walk_s
from benchmarks.query.client import Call
from benchmarks.query.data import LAST, Extent, make_data
from benchmarks.query.full import FullSize, run_full
from benchmarks.query.run import Size, as_json, run_bench
from benchmarks.query.sameness import check_sameness
from benchmarks.query.servers import Server, drive, our_server
from shared.database import open_engine
from tests.benchmarks.left_behind import Made
from tests.support.servers import Servers

SMALL = Extent(tenants=2, properties=1, heard=60, hours=150)
CALLS = [Call("/readings?limit=1", "token")]


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Server]:
    """A server that answers these, whatever is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Server("of the test", server.sockets[0].getsockname()[1])


def page(value: float) -> bytes:
    body = (
        '{"items": [{"meter_installation_id": "7f6c0000-0000-4000-8000-000000000001", "timestamp":'
        f' "2026-11-01T00:00:00Z", "value": {value}, "rssi_dbm": null, "battery_level_pct": 96,'
        ' "received_at": "2026-11-01T00:01:00+00:00"}], "next_cursor": null, "has_next": false}'
    )
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


async def test_the_data_is_as_large_as_was_asked_for(engine: AsyncEngine) -> None:
    heard = await make_data(engine, SMALL, print)
    assert len(set(heard)) == 60
    assert len({one.tenant_id for one in heard}) == 2
    async with engine.connect() as connection:
        readings = await connection.execute(
            text("SELECT meter_installation_id, count(*), max(timestamp) FROM reading GROUP BY 1 ORDER BY 1")
        )
        assert readings.all() == [(one.installation_id, 150, LAST) for one in heard]
        assert await connection.scalar(text("SELECT count(*) FROM meter_installation")) == 80
        assert await connection.scalar(text("SELECT count(*) FROM installation_status WHERE state = 'fresh'")) > 60


async def test_a_small_run_has_every_figure_and_leaves_neither_database_nor_login(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Size(extent=SMALL, rounds=1, seconds=0.4, connections=2)
    made = Made(monkeypatch)
    async with asyncio.timeout(60):
        result = await run_bench(servers.database_url, size, hypertable=True, full=None, tell=print)
    figures = as_json(result)
    for name in ("requests_per_s", "orm_per_s", "json_in_sql_per_s"):
        assert figures[name] > 0
        of = name.removesuffix("requests_per_s").removesuffix("per_s")
        assert 0 < figures[f"{of}p50_ms"] <= figures[f"{of}p99_ms"]
    assert result.ratio_to_orm == pytest.approx(result.requests_per_s / result.orm_per_s, rel=0.01)
    assert result.ratio_to_json_in_sql == pytest.approx(result.requests_per_s / result.json_in_sql_per_s, rel=0.01)
    assert result.ratio_to_orm > 1
    assert result.noop_per_s > result.requests_per_s
    assert result.readings == 9_000
    assert made.names
    assert await made.left_behind(servers.database_url) == []


async def test_a_small_full_run_has_each_page_by_kind_of_table(servers: Servers) -> None:
    few = Extent(tenants=1, properties=1, heard=40, hours=121)
    many = Extent(tenants=1, properties=3, heard=110, hours=121)
    size = FullSize(few=few, many=many, rounds=1, seconds=0.3, bulk=4_000)
    async with asyncio.timeout(60):
        result = await run_full(servers.database_url, size, hypertable=False, tell=print)
    assert (result.few_readings, result.many_readings, result.installations) == (4_840, 13_310, 120)
    for name in ("few", "many", "installations", "several"):
        assert getattr(result, f"{name}_p50_ms")["plain"] > 0
    for ratio, page in (("installations_p50_ratio", "installations"), ("several_p50_ratio", "several")):
        expected = getattr(result, f"{page}_p50_ms")["plain"] / result.many_p50_ms["plain"]
        assert getattr(result, ratio) == {"plain": pytest.approx(expected, abs=0.01)}
    assert result.growth_p50 == {
        "plain": pytest.approx(result.many_p50_ms["plain"] / result.few_p50_ms["plain"], abs=0.01)
    }
    for name in ("days_p50_ms", "export_readings_per_s", "changes_readings_per_s", "peak_rss_mib"):
        assert getattr(result, name)["plain"] > 0
    for name in ("days_growth_p50", "export_growth", "changes_growth"):
        assert getattr(result, name)["plain"] > 0


async def test_what_is_taken_in_bulk_must_be_there(servers: Servers) -> None:
    async with open_database(servers.database_url, "query", hypertable=False) as database:
        async with open_engine(database.owner_url, application_name="test") as engine:
            heard = await make_data(engine, Extent(tenants=1, properties=1, heard=2, hours=10), print)
        async with our_server(database) as server:
            assert await export_s(server, heard, readings=20) > 0
            assert await walk_s(server, heard[0], readings=20) > 0
            with pytest.raises(BenchError, match="export has 20 readings, and 21 were to come"):
                await export_s(server, heard, readings=21)
            with pytest.raises(BenchError, match="there are 20 changes, and 21 were to come"):
                await walk_s(server, heard[0], readings=21)


async def test_an_answer_that_is_no_page_ends_the_bench_with_its_status() -> None:
    async with answering(b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n\r\n") as server:
        with pytest.raises(BenchError, match=r"of the test answered: HTTP/1.1 429 Too Many Requests"):
            await drive(server, CALLS, connections=1, seconds=5)


async def test_a_server_that_hangs_up_ends_the_bench() -> None:
    async with answering(page(1)) as server:
        with pytest.raises(BenchError, match="closed the connection"):
            await drive(server, CALLS, connections=1, seconds=5)


async def test_other_readings_in_an_answer_end_the_bench() -> None:
    async with answering(page(1)) as first, answering(page(1.0)) as same, answering(page(2)) as other:
        await check_sameness((first, same), CALLS, limit=1)
        with pytest.raises(BenchError, match="does not answer"):
            await check_sameness((first, other), CALLS, limit=1)
        with pytest.raises(BenchError, match="answers 1 items"):
            await check_sameness((first, same), CALLS, limit=2)
