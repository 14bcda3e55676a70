"""`GET /changes` of what was stored before there was a feed, and until a newer ingest takes over."""

from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import utc_now
from shared.migrations.runner import downgrade, migrate
from tests.services.query.feed import NOON, NOW, Walk, message, readings_of, stored, with_constants
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

LIMITS = (1, 3, 7, 10_000)


async def store_without_batch(engine: AsyncEngine, building: Building, sent: list[tuple[int, int, float]]) -> None:
    """As ingest did before there were batches."""
    insert = text(
        'INSERT INTO reading (meter_installation_id, "timestamp", value, received_at) VALUES (:id, :at, :value, now())'
    )
    async with engine.begin() as connection:
        for meter, hour, value in sent:
            parameters = {"id": building.installation_ids[meter], "at": NOON + timedelta(hours=hour), "value": value}
            await connection.execute(insert, parameters)


@pytest.mark.parametrize("limit", LIMITS)
async def test_what_was_stored_before_the_feed_is_told_first_and_what_an_old_ingest_stores_for_a_while_too(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, limit: int
) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(downgrade, "0018")
    building = await create_building(engine, meters=5)
    # Of meters that have none, more than are looked at for one page.
    await store_without_batch(engine, building, [(0, hour, float(hour)) for hour in range(4)] + [(3, 0, 9.0)])
    await migrate(engine)
    await with_constants(engine, "changes_before_batches", few=("looked_at = 2000", "looked_at = 2"))
    # An old ingest may be there for a day yet, and what it stores is of now.
    tomorrow = (utc_now() + timedelta(hours=23) - NOON) // timedelta(hours=1)
    await store_without_batch(engine, building, [(4, tomorrow, 10.0)])
    await stored(engine, message(building, [(0, 0, 11.0), (1, 0, 12.0)], received_at=NOW + timedelta(days=3650)))
    walk = await Walk(client, headers(building.tenant_id), limit).to_the_end()
    values = [value for _, value in walk.told]
    assert walk.copy == await readings_of(engine, building)
    assert len(walk.told) == len(walk.copy) == 7
    assert set(values[:5]) == {1.0, 2.0, 3.0, 9.0, 10.0}
    assert set(values[5:]) == {11.0, 12.0}
