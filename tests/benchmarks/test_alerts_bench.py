"""The bench of alerts measures only work that was done, and leaves nothing behind."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.alerts import arrivals, load, sweeps
from benchmarks.alerts.arrivals import subscribed
from benchmarks.alerts.data import HISTORY_HOURS, RECENT_HOURS, SILENCE, fleet_of, make_data
from benchmarks.alerts.folds import FoldSize
from benchmarks.alerts.load import READINGS, steady_load
from benchmarks.alerts.punctuality import LatenessSize
from benchmarks.alerts.run import Size, as_json, run_bench
from benchmarks.alerts.sweeps import SweepSize, measure_sweeps
from benchmarks.errors import BenchError
from benchmarks.ingest.load import Fleet
from benchmarks.place import BenchServers, Place
from shared.topology import INGEST_READINGS
from tests.benchmarks.durability import keeps_what_it_confirms
from tests.benchmarks.left_behind import Made
from tests.support.databases import Database
from tests.support.messages import next_message
from tests.support.servers import Servers
from tests.support.vhosts import Vhost

SMALL = Size(
    folds=FoldSize(rounds=1, messages=1_500, installations=4_000, turns=40),
    lateness=LatenessSize(seconds=1, due=100, replicas=False),
    sweeps=SweepSize(few=400, many=800, due=20, rounds=2),
    webhooks=1_000,
)


@pytest.fixture
def place(database: Database, vhost: Vhost) -> Place:
    """What a bench makes for itself, of what a test has."""
    return Place(
        database.owner_url,
        database.ingest_url,
        database.alerts_url,
        vhost.url,
        vhost.ingest_url,
        vhost.alerts_url,
        is_hypertable=False,
        server="any",
    )


async def test_as_many_are_due_in_turns_as_was_asked_for_and_everybody_was_heard(engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    await make_data(engine, installations=400, now=now, due=60, at_once=20, policies=True)
    async with engine.connect() as connection:
        due = await connection.execute(
            text(
                "SELECT due_at, count(*), min(due_at - last_reading_at) FROM installation_status"
                " WHERE due_at <= :last GROUP BY 1 ORDER BY 1"
            ),
            {"last": now + timedelta(minutes=1)},
        )
        assert due.all() == [(now + timedelta(seconds=second), 20, SILENCE) for second in range(3)]
        # Of each, the newest reading is the one that its status knows.
        readings = await connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE number = :history), count(*) FILTER (WHERE number = :recent)"
                " FROM (SELECT count(*) AS number FROM reading r JOIN installation_status s"
                "       ON s.installation_id = r.meter_installation_id"
                "       GROUP BY s.installation_id HAVING max(timestamp) = s.last_reading_at) AS heard"
            ),
            {"history": HISTORY_HOURS, "recent": RECENT_HOURS},
        )
        assert tuple(readings.one()) == (60, 340)
        assert await connection.scalar(text("SELECT count(*) FROM gateway_heard WHERE heard_at = :now"), {"now": now})
        assert await connection.scalar(text("SELECT count(*) FROM policy")) > 0
    fleet = await fleet_of(engine)
    assert [len(meters) for meters in fleet.meters.values()] == [40] * 10


async def test_a_small_run_has_every_figure_and_leaves_neither_database_nor_login(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(monkeypatch)
    bench = run_bench(
        BenchServers(servers.database_url, servers.broker_url, servers.management_url),
        SMALL,
        hypertable=True,
        tell=print,
    )
    if not await keeps_what_it_confirms(servers):
        with pytest.raises(BenchError, match="what it confirms may be lost"):
            await bench
        return
    async with asyncio.timeout(110):
        result = await bench
    figures = as_json(result)
    for name in ("sweep_s", "fold_readings_per_s", "worst_fold_readings_per_s", "deliveries_published_per_s"):
        assert figures[name] > 0
    assert result.fold_to_ingest == pytest.approx(result.fold_readings_per_s / result.ingest_readings_per_s, rel=0.01)
    for kind in ("", "busy_"):
        percentiles = [figures[f"due_to_published_{kind}{name}_s"] for name in ("p50", "p99", "max")]
        assert 0 < percentiles[0] <= percentiles[1] <= percentiles[2]
    assert figures["due_to_published_replicas_p99_s"] is None
    assert result.deliveries == 60
    assert made.names
    assert await made.left_behind(servers.database_url) == []


async def test_a_sweep_that_finds_fewer_than_it_should_ends_the_bench(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object, **__: object) -> None:
        """No installations."""

    monkeypatch.setattr(sweeps, "make_data", nothing)
    size = SweepSize(few=400, many=800, due=20, rounds=1)
    with pytest.raises(BenchError, match="a sweep found 0 silent installations, where 20 are"):
        await measure_sweeps(place, place, size, tell=print)


async def test_alerts_that_do_not_come_end_the_bench(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MISSING_AFTER_S", 0.2)
    async with subscribed(place.broker_url) as subscriber:
        with pytest.raises(BenchError, match="0 of 1 alerts came"):
            await subscriber.wait_for(1)


async def test_a_load_that_cannot_be_sent_as_fast_as_it_should_ends_the_bench(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "LATE_S", 0.2)
    fleet = Fleet({"GW-1": [UUID(int=1)]})
    with pytest.raises(BenchError, match="did not last"):
        async with steady_load(place, fleet, readings_per_s=1e9, first=datetime.now(UTC)) as sending:
            await asyncio.wait([sending])


async def test_a_load_lasts_as_long_as_the_block(place: Place) -> None:
    fleet = Fleet({"GW-1": [UUID(int=1)]})
    async with steady_load(place, fleet, readings_per_s=3_000, first=datetime.now(UTC)):
        message = await next_message(place.broker_url, INGEST_READINGS)
    assert len(json.loads(message.body)["readings"]) == READINGS
