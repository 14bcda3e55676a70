"""Deliveries to webhooks that fail: tried again until they are taken, given up, or until the endpoint is disabled."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from services.alerts.subscribers.batches import Sending
from services.alerts.subscribers.bodies import webhook_body
from services.alerts.subscribers.claims import Claim
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


@pytest.fixture
def secret() -> str:
    return new_secret()


async def test_what_fails_is_tried_again_under_the_same_id_and_with_the_same_body(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        receiver.answer = lambda _: 204 if len(receiver.received) > 3 else 500
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meters = building.installation_ids[:2]
        told = [("installation.stale", await open_alert(engine, building, meter), meter) for meter in meters]
        await tell_all(engine, building, told)
        async with make_sender():
            for times in (1, 2, 3):
                await failed(engine, hook, times)
                ((error, attempts),) = await rows(
                    engine, "SELECT DISTINCT last_error, attempts FROM delivery WHERE subscription_id = :id", id=hook
                )
                assert "500" in error
                assert attempts == times
                await set_clock_forward(engine, "1 hour")
            await ended(engine, hook)
    assert len(receiver.received) == 4
    assert len({(one.message_id, one.body) for one in receiver.received}) == 1
    assert await rows(engine, STANDING, id=hook) == [(True, None, 0, False)]


async def test_retry_after_is_heeded(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        receiver.answer = lambda _: Response(status_code=429, headers={"Retry-After": "3000"})
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
        async with make_sender():
            await failed(engine, hook, 1)
    assert await rows(
        engine, "SELECT held_until - now() BETWEEN interval '49 minutes' AND interval '51 minutes' FROM subscription"
    ) == [(True,)]


async def test_a_410_disables_at_once_and_the_others_of_the_tenant_are_told(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as gone, receiving(secret) as other:
        gone.answer = lambda _: 410
        hook = await add_webhook(engine, building.tenant_id, gone.url, secret=secret, name="ours")
        wants_little = await add_webhook(
            engine, building.tenant_id, other.url, secret=secret, event_types=["gateway.silent"]
        )
        meters = building.installation_ids
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meters[0]), meters[0])
        async with make_sender():
            await gone.wait_for(1)
            (notice,) = await other.wait_for(1)
            # Nothing is made for it any more.
            await tell(engine, building, "installation.stale", await open_alert(engine, building, meters[1]), meters[1])
            await ended(engine, wants_little)
    assert await rows(engine, STANDING, id=hook) == [(False, "gone", 1, True)]
    assert await deliveries(engine, hook) == [("installation.stale", "disabled")]
    assert notice.event["type"] == "subscription.disabled"
    assert notice.event["data"]["subscription_name"] == "ours"
    assert notice.event["data"]["target"] == "127.0.0.1"
    assert notice.event["data"]["because"] == "gone"


async def test_five_days_of_failures_disable_it_and_a_success_in_between_does_not(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        answer = 500
        receiver.answer = lambda _: answer
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meters = building.installation_ids
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meters[0]), meters[0])
        async with make_sender():
            await failed(engine, hook, 1)
            await set_clock_forward(engine, "4 days")
            await failed(engine, hook, 2)
            answer = 200
            await set_clock_forward(engine, "12 hours")
            await ended(engine, hook)
            assert await rows(engine, STANDING, id=hook) == [(True, None, 0, False)]
            answer = 500
            await tell(engine, building, "installation.stale", await open_alert(engine, building, meters[1]), meters[1])
            await failed(engine, hook, 1)
            await set_clock_forward(engine, "4 days")
            await failed(engine, hook, 2)
            await set_clock_forward(engine, "25 hours")
            await ended(engine, hook)
    assert await rows(engine, STANDING, id=hook) == [(False, "failing", 3, True)]
    assert await deliveries(engine, hook) == [("installation.stale", "delivered"), ("installation.stale", "gave_up")]


async def test_when_an_endpoint_is_back_everything_that_waits_is_tried(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        answer = 503
        receiver.answer = lambda _: answer
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        async with make_sender():
            for times, meter in enumerate(building.installation_ids, start=1):
                alert = await open_alert(engine, building, meter)
                await tell(engine, building, "installation.stale", alert, meter)
                await change(engine, "UPDATE subscription SET held_until = NULL")
                await failed(engine, hook, times)
            answer = 200
            await change(engine, "UPDATE subscription SET held_until = NULL")
            await tell(
                engine, building, "gateway.silent", await open_alert(engine, building, gateway_id=building.gateway_id)
            )
            await ended(engine, hook)
    assert {state for _, state in await deliveries(engine, hook)} == {"delivered"}


async def test_a_410_disables_it_though_others_were_taken_at_the_same_moment(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        receiver.held.clear()
        receiver.answer = lambda one: 410 if one.event["type"].startswith("gateway.") else 204
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        of_gateway = await open_alert(engine, building, gateway_id=building.gateway_id)
        of_meter = await open_alert(engine, building, meter)
        await tell_all(
            engine, building, [("gateway.silent", of_gateway, None), ("installation.stale", of_meter, meter)]
        )
        async with make_sender():
            await receiver.wait_for(2)
            receiver.held.set()
            await ended(engine, hook)
    assert await rows(engine, STANDING, id=hook) == [(False, "gone", 1, True)]
    assert await deliveries(engine, hook) == [("gateway.silent", "disabled"), ("installation.stale", "delivered")]


async def test_an_event_that_is_refused_holds_up_others_for_seconds_only(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as receiver:
        receiver.answer = lambda _: 400
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        meter = building.installation_ids[0]
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
        await change(engine, "UPDATE subscription SET failures = 20")
        async with make_sender():
            await failed(engine, hook, 21)
            await set_clock_forward(engine, "31 seconds")
            receiver.answer = lambda _: 204
            await change(engine, TEST, tenant=building.tenant_id, id=hook)
            await ended(engine, hook)
    assert len(receiver.received) == 3
    assert await rows(engine, STANDING, id=hook) == [(True, None, 0, False)]


async def test_a_fault_of_ours_is_logged_and_tried_again_later_and_the_others_go_out(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """Here of a body that cannot be made: it disables nobody, and does not go round and round."""
    faults = 0

    def fail(claim: Claim, sending: Sending) -> bytes:
        nonlocal faults
        if sending.parts[0].event_type == "gateway.silent":
            faults += 1
            raise ValueError("a fault")
        return webhook_body(claim, sending)

    monkeypatch.setattr("services.alerts.subscribers.by_webhook.webhook_body", fail)
    async with receiving(secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        of_gateway = await open_alert(engine, building, gateway_id=building.gateway_id)
        await tell(engine, building, "gateway.silent", of_gateway)
        async with make_sender():
            await failed(engine, hook, 1)
            await change(engine, "UPDATE subscription SET held_until = NULL")
            await change(engine, TEST, tenant=building.tenant_id, id=hook)
            await receiver.wait_for(1)
    assert await deliveries(engine, hook) == [("gateway.silent", "waits"), ("subscription.test", "delivered")]
    assert faults == 1
    assert await rows(
        engine, "SELECT attempts, last_error LIKE '%not at the endpoint%' FROM delivery ORDER BY 1 DESC"
    ) == [
        (1, True),
        (0, None),
    ]


async def test_what_the_old_url_answers_is_no_failure_of_the_new_one(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    async with receiving(secret) as old, receiving(secret) as new:
        old.held.clear()
        old.answer = lambda _: 410
        hook = await add_webhook(engine, building.tenant_id, old.url, secret=secret)
        meter = building.installation_ids[0]
        await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
        async with make_sender():
            await old.wait_for(1)
            await change(engine, "UPDATE subscription SET url = :url", url=new.url)
            old.held.set()

            async def is_written_down() -> bool:
                return await rows(engine, "SELECT attempts FROM delivery") == [(1,)]

            await eventually(is_written_down)
            assert await rows(engine, STANDING, id=hook) == [(True, None, 0, False)]
            await set_clock_forward(engine, "1 minute")
            await ended(engine, hook)
    assert len(new.received) == 1


async def test_when_a_silence_is_given_up_its_end_is_told_at_once(
    engine: AsyncEngine, building: Building, make_sender: MakeSender, secret: str
) -> None:
    meter = building.installation_ids[0]
    alert = await open_alert(engine, building, meter)
    async with receiving(secret) as receiver:
        receiver.answer = lambda one: 500 if one.event["type"] == "installation.stale" else 204
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        async with make_sender():
            await tell(engine, building, "installation.stale", alert, meter)
            await failed(engine, hook, 1)
            await change(engine, "UPDATE delivery SET next_attempt_at = now() + interval '3 hours'")
            await tell(engine, building, "installation.recovered", alert, meter)
            await change(engine, "UPDATE subscription SET held_until = NULL")

            async def end_waits_for_its_silence() -> bool:
                return await rows(engine, "SELECT count(DISTINCT next_attempt_at) FROM delivery") == [(1,)]

            await eventually(end_waits_for_its_silence)
            await change(
                engine,
                "UPDATE delivery SET next_attempt_at = now(), wanted_since = now() - interval '6 days'"
                " WHERE event_type = 'installation.stale'",
            )
            await receiver.wait_for(2)
            await change(engine, "UPDATE subscription SET held_until = NULL")
            await ended(engine, hook)
    assert await deliveries(engine, hook) == [
        ("installation.stale", "gave_up"),
        ("installation.recovered", "delivered"),
    ]
