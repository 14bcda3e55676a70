"""The look-out asks for all streams of a process at once, and not at all while there are none."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts import lookout
from services.alerts.lookout import LookOut
from shared.service_database import ServiceDatabase
from tests.services.alerts.standing import change
from tests.support.databases import Database
from tests.support.messages import eventually

SET = (
    "INSERT INTO alert_stream VALUES (:tenant, :newest) ON CONFLICT (tenant_id) DO UPDATE SET newest = excluded.newest"
)


@pytest.fixture
async def service(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServiceDatabase]:
    monkeypatch.setattr(lookout, "LOOK_EVERY_S", 0.05)
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
    async with service.open():
        yield service


async def test_it_asks_once_for_all_and_only_while_somebody_listens(
    service: ServiceDatabase, engine: AsyncEngine
) -> None:
    asked: list[str] = []
    event.listen(service.engine.sync_engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    tenants = [uuid4() for _ in range(3)]
    for tenant_id in tenants:
        await change(engine, SET, tenant=tenant_id, newest=7)
    look_out = LookOut(service, stopping=asyncio.Event())
    async with look_out.running():
        with look_out.of(tenants[0]) as first, look_out.of(tenants[0]) as again, look_out.of(tenants[1]) as second:
            assert first is again
            async with asyncio.timeout(10):
                await asyncio.gather(*(one.beyond(6, until=time.monotonic() + 10) for one in (first, second)))
            assert (first.newest, second.newest) == (7, 7)
            assert len(asked) == 1
            await first.beyond(7, until=time.monotonic() + 0.2)
            assert 1 < len(asked) < 8
        await asyncio.sleep(0.1)  # the look that was under way
        before = len(asked)
        await asyncio.sleep(0.3)
        assert len(asked) == before


async def test_whoever_waits_goes_on_when_the_service_stops_and_when_the_time_is_over(service: ServiceDatabase) -> None:
    stopping = asyncio.Event()
    look_out = LookOut(service, stopping=stopping)
    async with look_out.running(), asyncio.timeout(10):
        with look_out.of(uuid4()) as outlook:
            await outlook.beyond(0, until=time.monotonic() + 0.1)
            await outlook.beyond(0, until=time.monotonic() - 1)
            waiting = asyncio.create_task(outlook.beyond(0, until=time.monotonic() + 3600))
            stopping.set()
            await waiting


async def test_it_looks_again_after_a_failure(service: ServiceDatabase, engine: AsyncEngine) -> None:
    tenant_id = uuid4()
    await change(engine, SET, tenant=tenant_id, newest=7)
    await change(engine, "ALTER TABLE alert_stream RENAME TO away")
    look_out = LookOut(service, stopping=asyncio.Event())
    asked: list[str] = []
    event.listen(service.engine.sync_engine, "before_cursor_execute", lambda *about: asked.append(about[2]))

    async def has_failed_twice() -> bool:
        return len(asked) > 2

    async with look_out.running():
        with look_out.of(tenant_id) as outlook:
            await eventually(has_failed_twice)
            await change(engine, "ALTER TABLE away RENAME TO alert_stream")
            async with asyncio.timeout(10):
                await outlook.beyond(6, until=time.monotonic() + 10)
            assert outlook.newest == 7
