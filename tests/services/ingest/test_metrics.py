"""What a scrape of ingest shows after messages whose fate is known, and while the broker or the database is away."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from httpx2 import ASGITransport, AsyncClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from tests.support.databases import Database
from tests.support.messages import eventually, publish_as_gateway
from tests.support.registry import create_building
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

Samples = dict[str, float]


@pytest.fixture(autouse=True)
def ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.queue_depths.ASK_EVERY_S", 0.1)


@asynccontextmanager
async def ingest(database: Database, broker_url: str) -> AsyncIterator[AsyncClient]:
    """The service, consuming, and a client of its HTTP face."""
    app = create_app(IngestSettings.model_validate({"database_url": database.ingest_url, "broker_url": broker_url}))
    transport = ASGITransport(app)
    async with app.router.lifespan_context(app), AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client


async def scrape(client: AsyncClient) -> Samples:
    """Every sample as `name` or `name{label=value}`."""
    answer = await client.get("/metrics")
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def shows(client: AsyncClient, **wanted: float) -> None:
    async def is_so() -> bool:
        samples = await scrape(client)
        return all(samples.get(name) == value for name, value in wanted.items())

    await eventually(is_so)


async def test_a_scrape_shows_what_became_of_known_messages(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=2)
    first, second = map(str, building.installation_ids)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC).isoformat()
    good = [{"installation_id": id_, "timestamp": noon, "value": 1} for id_ in (first, second)]
    bad = {"installation_id": first, "timestamp": noon}
    async with ingest(database, vhost.ingest_url) as client:
        await shows(client, **{"mbus_queue_consumers{queue=ingest.readings}": 1})
        for body in ([*good, bad], good, b"no message"):
            await publish_as_gateway(vhost.url, building.gateway_id, body)
        await shows(client, **{"mbus_ingest_messages_total{outcome=dead_lettered}": 1})
        await shows(client, **{"mbus_queue_messages{queue=dead-letters}": 1, "mbus_ingest_in_hand_messages": 0})
        samples = await scrape(client)
    verdicts = ("stored", "unchanged", "corrected", "quarantined")
    assert [samples[f"mbus_ingest_readings_total{{verdict={verdict}}}"] for verdict in verdicts] == [2, 2, 0, 1]
    assert samples["mbus_ingest_messages_total{outcome=stored}"] == 2
    assert samples["mbus_ingest_batch_readings_sum"] == 5
    assert samples["mbus_ingest_batch_messages_sum"] == 3
    commits = samples["mbus_ingest_batch_messages_count"]
    for name in ("commit", "tell", "lag"):
        assert samples[f"mbus_ingest_{name}_seconds_count"] == commits
        assert 0 < samples[f"mbus_ingest_{name}_seconds_sum"] < 60
    assert 1 <= samples["mbus_ingest_events_total{outcome=published}"] <= 2
    assert samples["mbus_ingest_events_total{outcome=failed}"] == 0
    assert samples["mbus_queue_messages{queue=ingest.readings}"] == 0
    assert samples["mbus_ingest_in_hand_bytes"] == samples["mbus_ingest_in_hand_oldest_seconds"] == 0
    assert {name: value for name, value in samples.items() if name.startswith("mbus_ready")} == {
        "mbus_ready{check=database}": 1,
        "mbus_ready{check=broker}": 1,
        "mbus_ready{check=intake}": 1,
        "mbus_ready{check=writes}": 1,
    }
    assert not [name for name in samples if str(building.tenant_id) in name or building.gateway_id in name]


async def test_while_nothing_can_be_written_a_scrape_shows_what_is_in_hand_and_why(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    reading = {"installation_id": str(building.installation_ids[0]), "timestamp": "2026-03-01T12:00:00Z", "value": 1}
    async with ingest(database, vhost.ingest_url) as client:
        async with engine.begin() as connection:
            await connection.execute(text("REVOKE INSERT ON reading FROM mbus_ingest"))
        await publish_as_gateway(vhost.url, building.gateway_id, reading)
        await shows(client, mbus_ingest_in_hand_messages=1)

        async def failed() -> bool:
            samples = await scrape(client)
            return (
                samples["mbus_ingest_write_failures_total{kind=other}"] > 0
                and samples["mbus_ingest_in_hand_bytes"] > 50
                and samples["mbus_ingest_in_hand_oldest_seconds"] > 0
                and samples["mbus_ingest_writes_failing_seconds"] > 0
            )

        await eventually(failed)
        async with engine.begin() as connection:
            await connection.execute(text("GRANT INSERT ON reading TO mbus_ingest"))
        await shows(client, mbus_ingest_in_hand_messages=0, mbus_ingest_writes_failing_seconds=0)


async def test_while_the_broker_is_away_the_depth_of_its_queues_is_unknown(database: Database, vhost: Vhost) -> None:
    depth = "mbus_queue_messages{queue=ingest.readings}"
    async with TcpProxy(vhost.ingest_url).open() as proxy, ingest(database, proxy.url) as client:
        await shows(client, **{depth: 0})
        proxy.freeze()
        await proxy.break_connections()

        async def unknown() -> bool:
            samples = await scrape(client)
            return math.isnan(samples[depth]) and samples["mbus_ready{check=broker}"] == 0

        await eventually(unknown)
        proxy.thaw()
        await shows(client, **{depth: 0, "mbus_ready{check=broker}": 1})
