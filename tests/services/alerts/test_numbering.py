"""Events get numbers after they were committed: whoever has seen one never sees a smaller one appear."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.numbering import LOCK, NUMBER, number_events
from services.alerts.operations.retention import remove_delivered
from shared.database import open_engine
from shared.migrations.runner import downgrade, migrate
from tests.services.alerts.api.data import add_alert
from tests.services.alerts.standing import change, rows
from tests.services.alerts.telling import tell, tell_of
from tests.support.databases import Database
from tests.support.registry import create_building
from tests.support.subscriptions import add_webhook

ALONG = "SELECT id FROM delivery WHERE tenant_id = :tenant AND number IS NOT NULL ORDER BY number"
SEEN = text("SELECT number, id FROM delivery WHERE tenant_id = :tenant AND number > :after ORDER BY number")


@pytest.fixture
async def alerts_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """With the rights of the service."""
    async with open_engine(database.alerts_url, application_name="mbus-numbering") as engine:
        yield engine


async def an_alert(engine: AsyncEngine) -> tuple[UUID, UUID]:
    """The id of a new tenant, and of an alert of it."""
    building = await create_building(engine, meters=1)
    return building.tenant_id, await add_alert(engine, building)


async def along(engine: AsyncEngine, tenant_id: UUID) -> list[UUID]:
    """The ids of its events in the order of their numbers."""
    return [row[0] for row in await rows(engine, ALONG, tenant=tenant_id)]


async def test_each_tenant_has_its_events_in_the_order_in_which_they_were_made(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    tenants = [await an_alert(engine) for _ in range(2)]
    told: dict[UUID, list[UUID]] = {tenant_id: [] for tenant_id, _ in tenants}
    for _ in range(3):
        for tenant_id, alert_id in tenants * 2:
            told[tenant_id].append(await tell(engine, alert_id))
        assert await number_events(alerts_engine) == 4
        assert await number_events(alerts_engine) == 0
    for tenant_id, _ in tenants:
        assert await along(engine, tenant_id) == told[tenant_id]
        newest = (
            "SELECT max(number), (SELECT newest FROM alert_stream s WHERE s.tenant_id = d.tenant_id) FROM delivery d"
        )
        ((number, noted),) = await rows(engine, f"{newest} WHERE tenant_id = :tenant GROUP BY 2", tenant=tenant_id)
        assert number == noted


async def test_what_goes_to_subscriptions_or_operators_has_no_number(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    tenant_id, alert_id = await an_alert(engine)
    event_id = await tell(engine, alert_id)
    hook = await add_webhook(engine, tenant_id)
    await change(
        engine,
        "INSERT INTO delivery (id, alert_id, tenant_id, subscription_id, event_type, event, wanted_since)"
        " SELECT gen_random_uuid(), alert_id, tenant_id, :hook, event_type, event, now() FROM delivery",
        hook=hook,
    )
    await change(
        engine,
        "INSERT INTO delivery (id, event_type, event) VALUES (gen_random_uuid(), 'pipeline.degraded', '{}')",
    )
    assert await number_events(alerts_engine) == 1
    assert await rows(engine, "SELECT id FROM delivery WHERE number IS NOT NULL") == [(event_id,)]


async def test_while_one_replicas_numbers_are_not_visible_no_other_gives_any(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    tenant_id, alert_id = await an_alert(engine)
    async with alerts_engine.begin() as one:
        async with engine.begin() as writer:
            made_first = await tell_of(writer, alert_id)
            committed_first = await tell(engine, alert_id)
            assert await one.scalar(LOCK)
            assert (await one.execute(NUMBER)).rowcount == 1
        # It would be seen before the other, and have a greater number.
        assert await number_events(alerts_engine) == 0
        assert await along(engine, tenant_id) == []
    assert await along(engine, tenant_id) == [committed_first]
    assert await number_events(alerts_engine) == 1
    assert await along(engine, tenant_id) == [committed_first, made_first]


async def test_an_event_that_somebody_has_locked_waits_with_all_that_its_tenant_has_behind_it(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    (ours, our_alert), (theirs, their_alert) = [await an_alert(engine) for _ in range(2)]
    mine = [await tell(engine, our_alert) for _ in range(3)]
    others = [await tell(engine, their_alert)]
    async with engine.begin() as sender:
        await sender.execute(text("SELECT FROM delivery WHERE id = :id FOR UPDATE"), {"id": mine[1]})
        async with asyncio.timeout(5):
            assert await number_events(alerts_engine) == 2
        assert (await along(engine, ours), await along(engine, theirs)) == (mine[:1], others)
    assert await number_events(alerts_engine) == 2
    assert await along(engine, ours) == mine


async def test_numbers_go_on_rising_where_the_clock_was_set_back_or_the_database_restored(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    tenant_id, alert_id = await an_alert(engine)
    await tell(engine, alert_id)
    await number_events(alerts_engine)
    await change(engine, "UPDATE alert_stream SET newest = newest + 3600000000")
    await change(
        engine, "UPDATE delivery SET number = newest FROM alert_stream s WHERE s.tenant_id = delivery.tenant_id"
    )
    ((of_later,),) = await rows(engine, "SELECT newest FROM alert_stream")
    await tell(engine, alert_id)
    await number_events(alerts_engine)
    assert await rows(engine, "SELECT newest FROM alert_stream") == [(of_later + 1,)]
    # As in a backup from before the tenant's first event; clients have seen its number.
    await change(engine, "UPDATE delivery SET number = NULL")
    await change(engine, "DELETE FROM alert_stream")
    ((seen,),) = await rows(engine, "SELECT cast(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
    await number_events(alerts_engine)
    ((smallest,),) = await rows(engine, "SELECT min(number) FROM delivery WHERE tenant_id = :tenant", tenant=tenant_id)
    assert smallest > seen


async def test_whoever_reads_along_the_numbers_meets_every_event_once_however_writers_and_replicas_race(
    engine: AsyncEngine, alerts_engine: AsyncEngine
) -> None:
    """Those that began first commit last, and three replicas number at once."""
    tenant_id, alert_id = await an_alert(engine)
    writing = True
    told: set[UUID] = set()

    async def write(number: int) -> None:
        chance = random.Random(number)
        for _ in range(25):
            async with engine.begin() as connection:
                event_ids = [await tell_of(connection, alert_id) for _ in range(chance.randint(1, 3))]
                await connection.execute(text("SELECT pg_sleep(:s)"), {"s": chance.random() / 50})
            told.update(event_ids)

    async def number() -> None:
        while writing:
            await number_events(alerts_engine)

    met: list[UUID] = []

    async def read() -> None:
        after, is_last = 0, False
        while not is_last:
            is_last = not writing
            async with engine.connect() as connection:
                found = (await connection.execute(SEEN, {"tenant": tenant_id, "after": after})).all()
            met.extend(row.id for row in found)
            after = found[-1].number if found else after

    following = [asyncio.create_task(number()) for _ in range(3)] + [asyncio.create_task(read())]
    await asyncio.gather(*(write(number) for number in range(4)))
    writing = False
    await asyncio.gather(*following)
    await number_events(alerts_engine)
    left = [one for one in await along(engine, tenant_id) if one not in set(met)]
    behind = await along(engine, tenant_id)
    assert [*met, *left] == behind, "a smaller number appeared behind one that was seen"
    assert set(behind) == told


async def test_events_that_there_were_have_numbers_in_the_order_in_which_they_were_made(database: Database) -> None:
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine:
        tenants = [await an_alert(engine) for _ in range(2)]
        async with engine.begin() as connection:
            await connection.run_sync(downgrade, "0022")
        told = {tenant_id: [await tell(engine, alert_id) for _ in range(3)] for tenant_id, alert_id in tenants}
        await migrate(engine)
        for tenant_id, event_ids in told.items():
            assert await along(engine, tenant_id) == event_ids
        newest = (
            "SELECT count(*) FROM alert_stream s WHERE newest = (SELECT max(number) FROM delivery d WHERE d.tenant_id ="
        )
        assert await rows(engine, f"{newest} s.tenant_id)") == [(2,)]


async def test_up_to_which_number_events_were_removed_is_noted(engine: AsyncEngine, alerts_engine: AsyncEngine) -> None:
    (ours, our_alert), (_, their_alert) = [await an_alert(engine) for _ in range(2)]
    mine = [await tell(engine, our_alert) for _ in range(3)]
    await tell(engine, their_alert)
    await number_events(alerts_engine)
    # The second was taken by the broker long after the third.
    old = "UPDATE delivery SET delivered_at = now() - interval '1 year' WHERE id = :id"
    await change(engine, old, id=mine[2])
    assert await remove_delivered(alerts_engine, kept=timedelta(days=30)) == 1
    ((newest, removed),) = await rows(
        engine, "SELECT newest, removed FROM alert_stream WHERE tenant_id = :tenant", tenant=ours
    )
    assert newest == removed
    await change(engine, old, id=mine[0])
    assert await remove_delivered(alerts_engine, kept=timedelta(days=30)) == 1
    noted = "SELECT removed FROM alert_stream WHERE tenant_id = :tenant"
    assert await rows(engine, noted, tenant=ours) == [(removed,)]
    assert await rows(engine, "SELECT count(*) FROM alert_stream WHERE removed = 0") == [(1,)]
