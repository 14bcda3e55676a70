"""What one tenant asks for at the same time leaves room for the others."""

import asyncio
from itertools import islice

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.main import create_app
from services.query.settings import QuerySettings
from shared.http.tenant_database import TENANT_CONNECTIONS
from tests.services.query.conftest import client_of
from tests.support.registry import create_building
from tests.support.tokens import Headers

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = 'mbus-query' AND wait_event_type = 'Lock' AND datname = current_database()"
)
BUSY = "Too many requests of this tenant at the same time. Try again."


@pytest.mark.parametrize(
    "route",
    ["/installations", "/readings?installation_id={}", "/installations/{}/consumption"],
    ids=["lists", "readings", "consumption"],
)
async def test_a_tenant_all_of_whose_requests_wait_for_a_lock_does_not_hold_up_another(
    settings: QuerySettings,
    headers: Headers,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
) -> None:
    monkeypatch.setattr("shared.http.tenant_database.SHARE_WAIT_S", 0.3)
    app = create_app(settings)
    ours, theirs = await create_building(engine), await create_building(engine)
    url, busy = route.format(ours.installation_ids[0]), headers(ours.tenant_id)
    async with app.router.lifespan_context(app), client_of(app) as client:
        async with engine.begin() as blocker:
            await blocker.execute(text("LOCK TABLE meter_installation IN ACCESS EXCLUSIVE MODE"))
            asked = [asyncio.create_task(client.get(url, headers=busy)) for _ in range(30)]
            async with engine.connect() as watcher, asyncio.timeout(10):
                while await watcher.scalar(WAITING) != TENANT_CONNECTIONS:
                    await watcher.rollback()
            async with asyncio.timeout(5):
                answer = await client.get("/properties", headers=headers(theirs.tenant_id))
            assert (answer.status_code, len(answer.json()["items"])) == (200, 1)
            refused = [await one for one in islice(asyncio.as_completed(asked), 30 - TENANT_CONNECTIONS)]
        assert {(one.status_code, one.headers["retry-after"], one.json()["detail"]) for one in refused} == {
            (429, "5", BUSY)
        }
        answers = await asyncio.gather(*asked)
        assert sum(one.status_code == 200 for one in answers) == TENANT_CONNECTIONS
        assert (await client.get(url, headers=busy)).status_code == 200
