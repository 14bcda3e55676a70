"""What is held back, and what comes of it: maintenance windows and marks, as the sender finds them in the database."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.subscribers.batches import PLANNED_AT_MOST
from services.alerts.webhooks.signing import new_secret
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import close_alert, deliveries, ended, open_alert, set_clock_forward, tell
from tests.support.messages import eventually
from tests.support.registry import Building
from tests.support.subscriptions import add_webhook
from tests.support.webhook_receiver import receiving

HELD = "SELECT count(*) FROM delivery WHERE held_by IS NOT NULL AND next_attempt_at > now() + interval '1 hour'"
MANY = """
    INSERT INTO delivery (id, alert_id, tenant_id, subscription_id, event_type, event, wanted_since, next_attempt_at,
                          held_by)
    SELECT gen_random_uuid(), d.alert_id, d.tenant_id, d.subscription_id, d.event_type, d.event, now(),
           d.next_attempt_at, d.held_by
    FROM delivery d, generate_series(1, :count) WHERE d.held_by IS NOT NULL
"""


async def open_window(engine: AsyncEngine, building: Building) -> UUID:
    """Of the whole tenant, since an hour ago."""
    window_id = uuid4()
    await change(
        engine,
        "INSERT INTO maintenance_window (id, tenant_id, starts_at, ends_at)"
        " VALUES (:id, :tenant, now() - interval '1 hour', now() + interval '2 days')",
        id=window_id,
        tenant=building.tenant_id,
    )
    return window_id


@pytest.fixture
def secret() -> str:
    return new_secret()


async def is_held(engine: AsyncEngine, count: int = 1) -> None:
    """Wait until so many wait for the end of a window."""

    async def held() -> bool:
        return await rows(engine, HELD) == [(count,)]

    await eventually(held)


async def test_a_silence_within_a_window_is_not_told_and_where_it_is_over_by_then_neither_is_its_end(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver, make_sender():
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        window_id = await open_window(engine, building)
        meter, other = building.installation_ids[:2]
        alert, still = await open_alert(engine, building, meter), await open_alert(engine, building, other)
        await tell(engine, building, "installation.stale", alert, meter)
        await tell(engine, building, "installation.stale", still, other)
        await is_held(engine, 2)
        await close_alert(engine, alert)
        await tell(engine, building, "installation.recovered", alert, meter)

        async def over_is_dropped() -> bool:
            return [state for _, state in await deliveries(engine, hook)] == ["maintenance", "waits", "maintenance"]

        await eventually(over_is_dropped)
        assert receiver.received == []
        # The window is over sooner than it was to be: what is still silent is told.
        await change(engine, "DELETE FROM maintenance_window WHERE id = :id", id=window_id)
        await ended(engine, hook)
    assert [one.event["data"]["alert_id"] for one in receiver.received] == [str(still)]


async def test_what_was_held_for_days_has_its_days_of_attempts_from_then_on(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver, make_sender():
        receiver.answer = lambda _: 204 if len(receiver.received) > 1 else 503
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        await open_window(engine, building)
        meter = building.installation_ids[0]
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
        await is_held(engine)
        await change(engine, "UPDATE delivery SET wanted_since = now() - interval '6 days'")
        await change(engine, "UPDATE maintenance_window SET ends_at = now() - interval '1 minute'")
        await receiver.wait_for(1)
        await set_clock_forward(engine, "1 minute")
        await receiver.wait_for(2)
        await ended(engine, hook)
    assert await deliveries(engine, hook) == [("installation.stale", "delivered")]


async def test_thousands_that_wait_for_the_end_of_a_window_hold_up_nothing_else(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        await open_window(engine, building)
        meter, other = building.installation_ids[:2]
        async with make_sender():
            await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
            await is_held(engine)
        await change(engine, MANY, count=PLANNED_AT_MOST + 1)
        told_before = await open_alert(engine, building, other)
        async with make_sender():
            await close_alert(engine, told_before)
            await tell(engine, building, "installation.recovered", told_before, other)
            (received,) = await receiver.wait_for(1, timeout_s=10)
        assert received.event["type"] == "installation.recovered"
        assert len(await deliveries(engine, hook)) == PLANNED_AT_MOST + 3


async def test_a_reminder_is_told_unless_its_alert_is_marked_or_over(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    """A snooze that has ended is none."""
    marks = {
        "delivered": "snoozed_until = now() - interval '1 second', snoozed_by = 'me'",
        "over": "snoozed_until = now() + interval '1 hour', snoozed_by = 'me'",
        "acknowledged": "acknowledged_at = now(), acknowledged_by = 'me'",
    }
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        for mark, meter in zip(marks.values(), building.installation_ids, strict=True):
            alert = await open_alert(engine, building, meter)
            await change(engine, f"UPDATE alert SET {mark} WHERE id = :id", id=alert)
            await tell(engine, building, "installation.reminder", alert, meter)
        async with make_sender():
            await ended(engine, hook)
    assert [state for _, state in await deliveries(engine, hook)] == ["delivered", "over", "over"]
    assert receiver.types == ["installation.reminder"]


async def test_a_silence_and_its_end_that_wait_together_are_one_message_in_their_order(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        alert = await open_alert(engine, building, meter)
        first = await tell(engine, building, "installation.stale", alert, meter)
        await close_alert(engine, alert)
        second = await tell(engine, building, "installation.recovered", alert, meter, property_id=uuid4())
        # In the table the first one comes last from now on.
        await change(engine, "UPDATE delivery SET attempts = 0 WHERE event_type = 'installation.stale'")
        async with make_sender():
            await ended(engine, hook)
    (digest,) = receiver.received
    assert [one["id"] for one in digest.events] == [first, second]
