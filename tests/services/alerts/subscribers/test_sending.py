"""Deliveries to webhooks, from the row to a real receiver: once where all is well, else until it is taken."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.subscribers.batches import SENT_AT_MOST
from services.alerts.subscribers.sender import IN_FLIGHT
from services.alerts.webhooks.signing import new_secret
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import (
    STANDING,
    TEST,
    deliveries,
    ended,
    failed,
    open_alert,
    set_clock_forward,
    tell,
    tell_all,
)
from tests.support.messages import eventually
from tests.support.registry import Building
from tests.support.subscriptions import add_webhook
from tests.support.webhook_receiver import receiving

LONG = timedelta(hours=1)


@pytest.fixture
def secret() -> str:
    return new_secret()


async def test_an_event_arrives_signed_under_the_id_of_its_delivery_and_once(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        alert = await open_alert(engine, building, meter)
        async with make_sender():
            event = await tell(engine, building, "installation.stale", alert, meter)
            await ended(engine, hook)
        (received,) = receiver.received
    ((delivery, status),) = await rows(
        engine, "SELECT id, last_status FROM delivery WHERE subscription_id = :id", id=hook
    )
    assert received.message_id == str(delivery)
    assert received.event["id"] == event
    assert received.event["data"]["alert_id"] == str(alert)
    assert status == 204
    assert await rows(engine, STANDING, id=hook) == [(True, None, 0, False)]


async def test_what_comes_together_is_told_together_for_a_property_and_for_a_gateway(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        alerts = [(meter, await open_alert(engine, building, meter)) for meter in building.installation_ids]
        of_gateway = await open_alert(engine, building, gateway_id=building.gateway_id)
        stale = [("installation.stale", alert, meter) for meter, alert in alerts]
        made = await tell_all(engine, building, [*stale[:2], ("gateway.silent", of_gateway, None), stale[2]])
        async with make_sender():
            await ended(engine, hook)
        digest, gateway = sorted(receiver.received, key=lambda one: one.event["type"])
    assert digest.event["type"] == "alerts.digest"
    assert digest.event["data"]["property_id"] == str(building.property_id)
    assert [one["id"] for one in digest.events] == [made[0], made[1], made[3]]
    assert digest.event["id"] == digest.message_id
    assert gateway.event["id"] == made[2]
    assert await deliveries(engine, hook) == [
        ("installation.stale", "delivered"),
        ("installation.stale", "delivered"),
        ("gateway.silent", "delivered"),
        ("installation.stale", "delivered"),
    ]


async def test_it_waits_for_what_may_come_with_it(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter, other = building.installation_ids[:2]
        async with make_sender(wait=LONG) as sender:
            first = await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
            await sender.send_due()
            assert await deliveries(engine, hook) == [("installation.stale", "waits")]
            await set_clock_forward(engine, "1 hour")
            # It came long after the first, and goes with it all the same.
            second = await tell(
                engine, building, "installation.stale", await open_alert(engine, building, other), other
            )
            await ended(engine, hook)
        (digest,) = receiver.received
    assert [one["id"] for one in digest.events] == [first, second]


async def test_an_end_never_overtakes_its_silence(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    """Where the silence is refused the end waits, and others do not."""
    meter, other = building.installation_ids[:2]
    alert = await open_alert(engine, building, meter)
    async with receiving(secret) as receiver:
        refused = str(alert)
        receiver.answer = lambda one: 500 if one.event["data"]["alert_id"] == refused else 204
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        async with make_sender():
            await tell(engine, building, "installation.stale", alert, meter)
            await failed(engine, hook, 1)
            await tell(engine, building, "installation.recovered", alert, meter)
            await tell(engine, building, "installation.stale", await open_alert(engine, building, other), other)
            await change(engine, "UPDATE subscription SET held_until = now()")

            async def other_is_told() -> bool:
                return (await deliveries(engine, hook))[2] == ("installation.stale", "delivered")

            await eventually(other_is_told)
            assert [state for _, state in await deliveries(engine, hook)] == ["waits", "waits", "delivered"]
            refused = ""
            await change(engine, "UPDATE delivery SET next_attempt_at = now() WHERE digest_id IS NOT NULL")
            await ended(engine, hook)
        of_alert = [one for one in receiver.received if one.event["data"]["alert_id"] == str(alert)]
    assert [one.event["type"] for one in of_alert] == [
        "installation.stale",
        "installation.stale",
        "installation.recovered",
    ]


async def test_during_a_rotation_both_secrets_are_good_and_after_it_the_old_one_is_not(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    newer = new_secret()
    async with receiving(secret, newer) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        await change(engine, "UPDATE subscription_secret SET expires_at = now() + interval '1 hour'")
        await change(
            engine,
            "INSERT INTO subscription_secret (subscription_id, secret) VALUES (:id, :secret)",
            id=hook,
            secret=newer,
        )
        meters = building.installation_ids
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meters[0]), meters[0])
        async with make_sender():
            await ended(engine, hook)
            assert len(receiver.received) == 1
            await change(
                engine, "UPDATE subscription_secret SET expires_at = now() WHERE secret = :secret", secret=secret
            )
            receiver.secrets = (newer,)
            await tell(engine, building, "installation.stale", await open_alert(engine, building, meters[1]), meters[1])
            await ended(engine, hook)
    assert len(receiver.received) == 2


async def test_a_stop_waits_for_the_answer_to_what_is_on_its_way_and_begins_nothing_more(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        receiver.held.clear()
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        for _ in range(IN_FLIGHT + 2):
            await change(engine, TEST, tenant=building.tenant_id, id=hook)
        async with make_sender():
            await receiver.wait_for(IN_FLIGHT)
            asyncio.get_running_loop().call_later(0.5, receiver.held.set)
        assert len(receiver.received) == receiver.most_at_once == IN_FLIGHT
    states = [state for _, state in await deliveries(engine, hook)]
    assert (states.count("delivered"), states.count("waits")) == (IN_FLIGHT, 2)
    assert await rows(engine, "SELECT claimed_until FROM subscription") == [(None,)]


async def test_the_next_batch_follows_at_once(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        alert = await open_alert(engine, building, meter)
        await change(engine, "UPDATE alert SET closed_at = now(), closed_because = 'heard'")
        for _ in range(2 * SENT_AT_MOST + 1):
            await change(engine, TEST, tenant=building.tenant_id, id=hook)
        async with make_sender():
            await tell(engine, building, "installation.stale", alert, meter)
            await ended(engine, hook)
    assert len({one.message_id for one in receiver.received}) == len(receiver.received) == 2 * SENT_AT_MOST + 2


async def test_a_removed_subscription_is_not_sent_to(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        removed = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        there = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
        await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=removed)
        async with make_sender() as sender:
            await ended(engine, there)
            await sender.send_due()
    assert await deliveries(engine, removed) == [("installation.stale", "waits")]
    assert len(receiver.received) == 1
