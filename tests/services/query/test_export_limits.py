"""How many exports are under way at once, and that one that has begun waits for a connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from services.query.queries import export
from services.query.queries.export import EXPORTS_A_TENANT, Exports, Period, TooManyExportsError, choose_installations
from services.query.queries.export_forms import NDJSON
from services.query.queries.readings import Selection
from shared.clock import utc_now
from shared.http.reach import Reach
from shared.http.tenant_share import TenantBusyError
from shared.service_database import NoFreeConnectionError
from tests.services.query.data import add_readings
from tests.services.query.test_export import hours
from tests.support.databases import Database
from tests.support.registry import Building, create_building

EVERYTHING = Period()


@pytest.fixture
async def query_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QueryDatabase]:
    """With one connection, for which nobody waits long; a piece of an export is one line."""
    monkeypatch.setattr("shared.http.tenant_database.DRIVER_CONNECTIONS", 1)
    monkeypatch.setattr("shared.http.tenant_database.FREE_CONNECTION_S", 0.1)
    monkeypatch.setattr(export, "PIECE_ROWS", 1)
    opened = QueryDatabase(database.query_url, service_role="mbus_query")
    async with opened.open():
        yield opened


async def filled(engine: AsyncEngine) -> Building:
    building = await create_building(engine, meters=1)
    await add_readings(engine, building.installation_ids[0], hours(0, 1, 2, 3))
    return building


async def export_of(database: QueryDatabase, exports: Exports, building: Building) -> AsyncGenerator[bytes]:
    reach = Reach(building.tenant_id)
    chosen = await choose_installations(database, reach=reach, selection=Selection(), period=EVERYTHING)
    assert chosen is not None
    return exports.pieces(reach, chosen, EVERYTHING, NDJSON)


async def test_a_tenant_has_a_few_exports_at_once_and_another_tenant_its_own(
    query_database: QueryDatabase, engine: AsyncEngine
) -> None:
    ours, theirs = await filled(engine), await filled(engine)
    exports = Exports(query_database, clock=utc_now)
    async with AsyncExitStack() as under_way:
        for building in [ours] * EXPORTS_A_TENANT + [theirs]:
            pieces = await under_way.enter_async_context(aclosing(await export_of(query_database, exports, building)))
            assert (await anext(pieces)).count(b"\n") == 1
        with pytest.raises(TenantBusyError) as refused:
            await anext(await export_of(query_database, exports, ours))
        assert refused.value.detail == "Too many exports of this tenant at the same time. Try again."
        assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "5"})
    assert len([piece async for piece in await export_of(query_database, exports, ours)]) == 4


async def test_a_process_has_so_many_exports_at_once_and_refuses_more(
    query_database: QueryDatabase, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "EXPORTS", 1)
    ours, theirs = await filled(engine), await filled(engine)
    exports = Exports(query_database, clock=utc_now)
    async with aclosing(await export_of(query_database, exports, ours)) as pieces:
        await anext(pieces)
        with pytest.raises(TooManyExportsError) as refused:
            await anext(await export_of(query_database, exports, theirs))
        assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "5"})
    assert len([piece async for piece in await export_of(query_database, exports, theirs)]) == 4


async def test_an_export_that_has_begun_waits_for_a_connection_and_one_that_has_not_is_refused(
    query_database: QueryDatabase, engine: AsyncEngine
) -> None:
    building = await filled(engine)
    exports = Exports(query_database, clock=utc_now)
    begun, waiting = [await export_of(query_database, exports, building) for _ in range(2)]
    async with aclosing(begun), aclosing(waiting):
        await anext(begun)
        async with query_database.driver_for(building.tenant_id):
            with pytest.raises(NoFreeConnectionError):
                await anext(waiting)
            following = asyncio.create_task(anext(begun))
            done, _ = await asyncio.wait([following], timeout=0.5)  # of which a connection is waited for 0.1
            assert not done
        assert (await following).count(b"\n") == 1
        assert len([piece async for piece in begun]) == 2


async def test_an_export_that_has_begun_waits_also_where_a_month_begins(
    query_database: QueryDatabase, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FEW_INSTALLATIONS", 0)
    monkeypatch.setattr(export, "PIECE_ROWS", 2)
    building = await create_building(engine, meters=1)
    await add_readings(engine, building.installation_ids[0], hours(-24, 0))  # 31 October, 1 November
    pieces = await export_of(query_database, Exports(query_database, clock=utc_now), building)
    async with aclosing(pieces):
        await anext(pieces)
        async with query_database.driver_for(building.tenant_id):
            following = asyncio.create_task(anext(pieces))
            done, _ = await asyncio.wait([following], timeout=0.5)  # of which a connection is waited for 0.1
            assert not done
        assert (await following).count(b"\n") == 1
