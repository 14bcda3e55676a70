"""The bench measures what it says, on servers that keep what they confirm, and leaves nothing behind."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.errors import BenchError
from benchmarks.ingest.load import Fleet, body, messages, register_fleet
from benchmarks.ingest.run import Size, as_json, run_bench
from benchmarks.place import BenchServers
from tests.benchmarks.durability import keeps_what_it_confirms
from tests.benchmarks.left_behind import Made
from tests.support.servers import Servers

SMALL = Size(messages=2_000, readings=20, rounds=1, singles=2_000)


async def test_every_reading_of_the_load_is_there_once_and_in_the_messages_as_in_the_rows(engine: AsyncEngine) -> None:
    fleet = await register_fleet(engine, gateways=3, meters=4)
    load = list(messages(fleet, count=10, readings=6, seed=1))
    rows = [row for _, of_message in load for row in of_message]
    assert len({(row[0], row[1]) for row in rows}) == len(rows) == 60
    assert load == list(messages(fleet, count=10, readings=6, seed=1))
    for gateway_id, of_message in load:
        assert {row[0] for row in of_message} <= set(fleet.meters[gateway_id])
        sent = body(gateway_id, of_message).readings
        assert [
            (one.installation_id, one.timestamp, one.value, one.rssi_dbm, one.battery_level_pct) for one in sent
        ] == [(row[0], row[1], row[2], row[4], row[5]) for row in of_message]
    assert list(messages(Fleet({}), count=0, readings=1, seed=1)) == []


async def test_a_small_run_has_every_figure_and_leaves_neither_database_nor_login(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(monkeypatch)
    bench = run_bench(
        BenchServers(servers.database_url, servers.broker_url, servers.management_url),
        SMALL,
        hypertable=True,
        full=False,
        tell=print,
    )
    if not await keeps_what_it_confirms(servers):
        with pytest.raises(BenchError, match="what it confirms may be lost"):
            await bench
        return
    async with asyncio.timeout(60):
        result = await bench
    figures = as_json(result)
    for name in ("readings_per_s", "copy_only_per_s", "row_at_a_time_per_s", "noop_messages_per_s", "peak_rss_mib"):
        assert figures[name] > 0
    assert result.readings == 40_000
    assert result.ratio_to_row_at_a_time == pytest.approx(result.readings_per_s / result.row_at_a_time_per_s, rel=0.05)
    assert result.batch_sizes.commits > 0
    assert made.names
    assert await made.left_behind(servers.database_url) == []
