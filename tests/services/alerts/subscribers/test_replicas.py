"""Several processes send at the same time: each message goes out once; and a database that is away loses none."""

from contextlib import AsyncExitStack
from functools import partial
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.webhooks.signing import new_secret
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import open_alert, tell
from tests.support.messages import eventually
from tests.support.registry import Building
from tests.support.subscriptions import add_webhook
from tests.support.webhook_receiver import receiving

HOOKS = 20
EVENTS = 10
LEFT = "SELECT count(*) FROM delivery WHERE subscription_id IS NOT NULL AND delivered_at IS NULL"


async def is_done(engine: AsyncEngine) -> bool:
    return await rows(engine, LEFT) == [(0,)]


async def test_three_share_the_work_and_send_nothing_twice(
    engine: AsyncEngine, building: Building, make_sender: MakeSender
) -> None:
    secret = new_secret()
    meter = building.installation_ids[0]
    alert = await open_alert(engine, building, meter)
    async with receiving(secret) as receiver, AsyncExitStack() as senders:
        for _ in range(HOOKS):
            await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        for _ in range(3):
            await senders.enter_async_context(make_sender())
        for number in range(EVENTS):
            kind = "installation.recovered" if number % 2 else "installation.stale"
            await tell(engine, building, kind, alert, meter)
        await eventually(partial(is_done, engine), timeout_s=60)
        told = [event["id"] for one in receiver.received for event in one.events]
    assert len({one.message_id for one in receiver.received}) == len(receiver.received)
    assert len(told) == HOOKS * EVENTS
    assert {told.count(event) for event in told} == {HOOKS}


async def test_what_was_on_its_way_when_the_database_went_away_comes_again_under_its_id(
    engine: AsyncEngine, building: Building, make_sender: MakeSender
) -> None:
    secret = new_secret()
    meter = building.installation_ids[0]
    async with receiving(secret) as receiver, make_sender():
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        receiver.held.clear()
        for _ in range(3):
            alert = await open_alert(engine, building, meter)
            await tell(engine, building, "installation.stale", alert, meter, property_id=uuid4())
            await change(engine, "UPDATE alert SET closed_at = now(), closed_because = 'heard'")
        await receiver.wait_for(3)
        # Nothing can be written down when the answers come.
        await change(engine, "REVOKE UPDATE ON delivery FROM mbus_alerts")
        receiver.held.set()

        async def nobody_waits_for_an_answer() -> bool:
            return receiver.at_once == 0

        await eventually(nobody_waits_for_an_answer)
        await change(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename LIKE 'mbus_alerts%'",
        )
        assert await rows(engine, LEFT) == [(3,)]
        await change(engine, "GRANT UPDATE ON delivery TO mbus_alerts")
        # As if the time of its claim had passed.
        await change(engine, "UPDATE subscription SET claimed_until = now()")
        await eventually(partial(is_done, engine), timeout_s=30)
        first, again = receiver.received[:3], receiver.received[3:]
    assert sorted(one.message_id for one in first) == sorted(one.message_id for one in again)
    assert {one.body for one in first} == {one.body for one in again}
    assert await rows(engine, "SELECT failures FROM subscription WHERE id = :id", id=hook) == [(0,)]
