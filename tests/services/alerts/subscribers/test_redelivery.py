"""What is asked for again, to a real receiver: the same message under the same id, and at once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api.app import ROLE
from services.alerts.operations.redelivery import redeliver
from services.alerts.operations.redelivery_in_bulk import redeliver_all
from services.alerts.queries.delivery_fields import DeliveryState
from services.alerts.queries.delivery_selection import Selection
from services.alerts.webhooks.signing import new_secret
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import deliveries, open_alert, tell, tell_all
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import Building
from tests.support.subscriptions import add_webhook
from tests.support.webhook_receiver import receiving

LONG = timedelta(hours=1)
STALE = "installation.stale"


@pytest.fixture
async def callers(database: Database) -> AsyncIterator[TenantDatabase]:
    opened = TenantDatabase(database.alerts_url, service_role="mbus_alerts", acts_as=ROLE)
    async with opened.open():
        yield opened


@pytest.fixture
def secret() -> str:
    return new_secret()


async def all_delivered(engine: AsyncEngine, hook: UUID) -> None:
    async def so_it_is() -> bool:
        return {state for _, state in await deliveries(engine, hook)} == {"delivered"}

    await eventually(so_it_is)


async def ids(engine: AsyncEngine, hook: UUID) -> list[UUID]:
    found = await rows(engine, "SELECT id FROM delivery WHERE subscription_id = :id ORDER BY position", id=hook)
    return [id_ for (id_,) in found]


async def test_a_digest_comes_again_as_it_was_whichever_of_its_events_is_asked_for(
    *, engine: AsyncEngine, building: Building, make_sender: MakeSender, callers: TenantDatabase, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meters = building.installation_ids
        await tell_all(engine, building, [(STALE, await open_alert(engine, building, it), it) for it in meters])
        async with make_sender():
            await all_delivered(engine, hook)
            last = (await ids(engine, hook))[-1]
            asked = await redeliver(callers, reach=Reach(building.tenant_id), delivery_id=last)
            assert asked is not None
            await receiver.wait_for(2)
            await all_delivered(engine, hook)
        first, again = receiver.received
    assert len(first.events) == len(meters)
    assert (again.message_id, again.body) == (first.message_id, first.body)


async def test_what_waits_for_others_goes_at_once_and_they_wait_on(
    *, engine: AsyncEngine, building: Building, make_sender: MakeSender, callers: TenantDatabase, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        for meter in building.installation_ids[:2]:
            await tell(engine, building, STALE, await open_alert(engine, building, meter), meter)
        first, second = await ids(engine, hook)
        async with make_sender(wait=LONG):
            await redeliver(callers, reach=Reach(building.tenant_id), delivery_id=second)
            (received,) = await receiver.wait_for(1)

            async def is_delivered() -> bool:
                return [state for _, state in await deliveries(engine, hook)] == ["waits", "delivered"]

            await eventually(is_delivered)
    assert received.message_id == str(second) != str(first)
    assert len(receiver.received) == 1


async def test_all_that_was_given_up_arrives_when_the_endpoint_is_back_and_somebody_says_so(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        for meter in building.installation_ids:
            await tell(engine, building, STALE, await open_alert(engine, building, meter), meter)
        await change(
            engine,
            "UPDATE delivery SET digest_id = id, attempts = 15, dropped_at = now(), dropped_because = 'gave_up'",
        )
        await change(
            engine,
            "UPDATE subscription SET failures = 15, failing_since = now(), held_until = now() + interval '1 hour'",
        )
        async with make_sender():
            dropped = Selection(subscription_id=hook, state=DeliveryState.DROPPED)
            assert [more async for more in redeliver_all(engine, dropped)] == [3]
            await all_delivered(engine, hook)
    assert sorted(one.message_id for one in receiver.received) == sorted(map(str, await ids(engine, hook)))
    assert await rows(engine, "SELECT failures, held_until FROM subscription") == [(0, None)]
