"""While the database is away the service lives, says so, and is back when the database is."""

import asyncio
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from services.query.main import create_app
from services.query.settings import QuerySettings
from shared.database import open_engine
from tests.services.query.conftest import client_of
from tests.support.databases import Database, create_database, drop_database
from tests.support.registry import create_building
from tests.support.servers import Servers
from tests.support.tokens import Headers

LISTS = (
    "/installations",
    "/properties",
    "/changes",
    f"/installations/{uuid4()}",
    f"/readings?installation_id={uuid4()}",
    f"/installations/{uuid4()}/consumption",
    f"/properties/{uuid4()}/consumption",
)


async def test_every_route_is_a_503_that_says_when_to_try_again_and_then_works_again(
    client: httpx2.AsyncClient, headers: Headers, servers: Servers, template: Database, database: Database
) -> None:
    caller = headers(uuid4())
    for route in LISTS:  # so that both ways to the database have connections that will break
        assert (await client.get(route, headers=caller)).status_code in {200, 404}
    await drop_database(servers.database_url, database.name)
    for route in LISTS * 2:
        answer = await client.get(route, headers=caller)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0
    assert (await client.get("/readyz")).json()["status"] == "unavailable"
    assert (await client.get("/livez")).status_code == 200
    await create_database(servers.database_url, database.name, template=template.name)
    for route in LISTS:
        assert (await client.get(route, headers=caller)).status_code in {200, 404}
    assert (await client.get("/readyz")).json() == {"status": "ok", "checks": {"database": "ok"}, "details": {}}


async def test_each_broken_connection_costs_at_most_one_request(
    client: httpx2.AsyncClient, headers: Headers, database: Database
) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as owner:
        building = await create_building(owner)
        routes = ("/installations", "/properties", f"/readings?installation_id={building.installation_ids[0]}")
        caller = headers(building.tenant_id)
        for route in routes:
            answers = await asyncio.gather(*(client.get(route, headers=caller) for _ in range(5)))
            assert {answer.status_code for answer in answers} == {200}
            async with owner.begin() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'mbus-query' AND datname = :name"
                    ),
                    {"name": database.name},
                )
            met = [(await client.get(route, headers=caller)).status_code for _ in range(len(answers) + 1)]
            assert set(met) <= {200, 503}
            assert met[-1] == 200


async def test_a_statement_that_takes_too_long_is_cancelled_and_says_so(
    client: httpx2.AsyncClient, headers: Headers, database: Database
) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as owner:
        building = await create_building(owner)
        async with owner.begin() as blocker:
            await blocker.execute(text("LOCK TABLE meter_installation, property IN ACCESS EXCLUSIVE MODE"))
            asked = asyncio.create_task(client.get("/properties", headers=headers(building.tenant_id)))
            async with owner.connect() as watcher:
                cancel = text(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'mbus-query' AND wait_event_type = 'Lock' AND datname = :name"
                )
                while (await watcher.execute(cancel, {"name": database.name})).first() is None:
                    await watcher.rollback()
            answer = await asked
    assert (answer.status_code, answer.json()["title"]) == (504, "Gateway Timeout")


@pytest.mark.parametrize("route", ["/properties", "/readings?installation_id={}"], ids=["session", "driver"])
async def test_a_statement_waits_for_a_lock_only_within_what_is_set_by_both_ways_to_the_database(
    settings: QuerySettings, headers: Headers, database: Database, route: str
) -> None:
    app = create_app(settings.model_copy(update={"statement_timeout_s": 1}))
    async with (
        open_engine(database.owner_url, application_name="mbus-tests") as owner,
        app.router.lifespan_context(app),
        client_of(app) as client,
    ):
        building = await create_building(owner)
        url, caller = route.format(building.installation_ids[0]), headers(building.tenant_id)
        async with owner.begin() as blocker:
            await blocker.execute(text("LOCK TABLE meter_installation, property IN ACCESS EXCLUSIVE MODE"))
            answer = await client.get(url, headers=caller)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["retry-after"] == "5"
        assert "in the way" in answer.json()["detail"]
        assert (await client.get(url, headers=caller)).status_code == 200


async def test_who_waits_for_a_free_connection_is_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch, settings: QuerySettings, headers: Headers, database: Database
) -> None:
    monkeypatch.setattr("shared.http.tenant_database.DRIVER_CONNECTIONS", 1)
    monkeypatch.setattr("shared.http.tenant_database.FREE_CONNECTION_S", 0.5)
    app = create_app(settings)
    async with (
        open_engine(database.owner_url, application_name="mbus-tests") as owner,
        app.router.lifespan_context(app),
        client_of(app) as client,
    ):
        building = await create_building(owner)
        url, caller = f"/readings?installation_id={building.installation_ids[0]}", headers(building.tenant_id)
        async with owner.begin() as blocker:
            await blocker.execute(text("LOCK TABLE meter_installation IN ACCESS EXCLUSIVE MODE"))
            holder = asyncio.create_task(client.get(url, headers=caller))
            async with owner.connect() as watcher:
                waits = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name")
                while (await watcher.execute(waits, {"name": database.name})).first() is None:
                    await watcher.rollback()
            answer = await client.get(url, headers=caller)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "No connection to the database was free" in answer.json()["detail"]
        assert (await holder).status_code == 200
