"""A database that is away, frozen, full or read-only: nothing is lost, and work goes on when it is back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from shared import topology
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, publish_as_gateway, queue_length
from tests.support.registry import Building, create_building
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BACK_WITHIN_S = 10
GRACE_S = 1.0


@asynccontextmanager
async def ingest(database_url: str, vhost: Vhost) -> AsyncIterator[AsyncClient]:
    """The service, consuming, and a client of its HTTP face."""
    app = create_app(
        IngestSettings.model_validate(
            {"database_url": database_url, "broker_url": vhost.ingest_url, "grace_period_s": GRACE_S}
        )
    )
    transport = ASGITransport(app)
    async with app.router.lifespan_context(app), AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client


async def send(vhost: Vhost, building: Building, *values: float) -> None:
    for number, value in enumerate(values):
        reading = {
            "installation_id": str(building.installation_ids[0]),
            "timestamp": (NOON + timedelta(hours=number)).isoformat(),
            "value": value,
        }
        await publish_as_gateway(vhost.url, building.gateway_id, reading)


async def stored(engine: AsyncEngine, readings: int) -> None:
    async def is_so() -> bool:
        async with engine.connect() as connection:
            return bool(await connection.scalar(text("SELECT count(*) FROM reading")) == readings)

    await eventually(is_so, timeout_s=BACK_WITHIN_S)


async def failed(client: AsyncClient, part: str) -> None:
    async def is_so() -> bool:
        answer = await client.get("/readyz")
        return answer.status_code == 503 and answer.json()["checks"][part] != "ok"

    await eventually(is_so, timeout_s=BACK_WITHIN_S)


async def ready(client: AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def connected(engine: AsyncEngine) -> bool:
    of_ingest = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mbus-ingest'"
    )
    async with engine.connect() as connection:
        return bool(await connection.scalar(of_ingest))


async def refuse(engine: AsyncEngine, condition: str, sqlstate: str) -> None:
    """Let the database answer the writing of such readings as a server does that is in need."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END$$"
            )
        )
        await connection.execute(
            text(
                f"CREATE TRIGGER refuse BEFORE INSERT ON reading"
                f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"
            )
        )


async def test_a_full_disk_is_waited_out_and_makes_the_service_not_ready_though_the_database_answers(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.group_commit.NOT_READY_AFTER_S", 0.3)
    building = await create_building(engine, meters=1)
    await refuse(engine, "true", "53100")
    async with ingest(database.ingest_url, vhost) as client:
        await send(vhost, building, 1, 2)
        await failed(client, "writes")
        assert (await client.get("/readyz")).json()["checks"]["database"] == "ok"
        async with engine.begin() as connection:
            await connection.execute(text("DROP TRIGGER refuse ON reading"))
        await stored(engine, 2)
        await eventually(lambda: ready(client))
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


async def test_a_message_that_alone_exhausts_the_server_is_put_aside_and_the_others_are_stored(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.group_commit.FIRST_RETRY_S", 0.01)
    building = await create_building(engine, meters=1)
    await refuse(engine, "NEW.value = 666", "53200")
    async with ingest(database.ingest_url, vhost):
        await send(vhost, building, 1, 2, 666, 3, 4)
        await stored(engine, 4)

        async def put_aside() -> bool:
            await send(vhost, building, 1)
            return await queue_length(vhost.url, topology.DEAD_LETTERS) == 1

        # That others are written shows that it is not the server.
        await eventually(put_aside)
        letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert b"666" in letter.body
    assert letter.headers["x-mbus-reason"] == "cannot be stored: OutOfMemoryError"


async def test_connections_to_what_was_the_primary_are_left_for_new_ones(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    # It goes for sessions that begin now: ingest's stay read-only, as those to a primary that became a standby do.
    async with engine.begin() as connection:
        await connection.execute(text(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on'))
    async with ingest(database.ingest_url, vhost):
        await eventually(lambda: connected(engine))
        async with engine.begin() as connection:
            await connection.execute(text(f'ALTER DATABASE "{database.name}" RESET default_transaction_read_only'))
        await send(vhost, building, 1)
        await stored(engine, 1)
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


async def test_connections_on_which_nothing_comes_any_more_are_given_up(
    engine: AsyncEngine, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database.ANSWER_TIMEOUT_S", 1.0)
    building = await create_building(engine, meters=1)
    async with TcpProxy(database.ingest_url).open() as proxy, ingest(with_driver(proxy.url), vhost):
        await send(vhost, building, 1)
        await stored(engine, 1)
        proxy.forget()
        await send(vhost, building, 1, 2, 3)
        await stored(engine, 3)
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


async def test_a_stop_without_a_database_ends_in_the_grace_period_and_leaves_the_messages_in_the_queue(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)

    async def taken() -> bool:
        return await queue_length(vhost.url, topology.INGEST_READINGS) == 0

    async with TcpProxy(database.ingest_url).open() as proxy:
        async with ingest(with_driver(proxy.url), vhost) as client:
            await eventually(lambda: ready(client))
            proxy.freeze()
            await send(vhost, building, 1, 2, 3)
            await eventually(taken)
            await failed(client, "database")
        assert await queue_length(vhost.url, topology.INGEST_READINGS) == 3


def with_driver(url: str) -> str:
    """The scheme that settings take: the URL of a test's database names the driver."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql"))
