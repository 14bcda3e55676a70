"""A subscription that is ended while something is on its way to it: neither waits for the other."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.subscribers.claims import take
from services.alerts.subscribers.disabling import DISABLE, DROP, disable, drop_strays
from services.alerts.subscribers.secrets import forget_secrets
from services.alerts.webhooks.signing import new_secret
from shared.database import open_engine
from shared.models import DisabledBecause
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import deliveries, open_alert, tell
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_mail, add_webhook
from tests.support.webhook_receiver import receiving

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_who_ends_it_and_who_writes_down_what_was_sent_do_not_wait_for_each_other(
    engine: AsyncEngine, building: Building, make_sender: MakeSender
) -> None:
    secret, meter = new_secret(), building.installation_ids[0]
    async with receiving(secret) as receiver:
        receiver.held.clear()
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        async with make_sender():
            await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
            await receiver.wait_for(1)
            async with engine.begin() as ending:
                now = await ending.scalar(text("SELECT now()"))
                because = DisabledBecause.BY_HAND.value
                assert await ending.scalar(DISABLE, {"id": hook, "because": because, "now": now}) == hook
                receiver.held.set()

                async def sender_waits() -> bool:
                    return await rows(engine, BLOCKED) == [(1,)]

                await eventually(sender_waits)
                await ending.execute(DROP, {"id": hook, "now": now})

            async def is_given_back() -> bool:
                return await rows(engine, "SELECT claimed_until FROM subscription WHERE id = :id", id=hook) == [(None,)]

            await eventually(is_given_back)
    assert await deliveries(engine, hook) == [("installation.stale", "disabled")]
    assert await rows(engine, "SELECT enabled, disabled_because FROM subscription") == [(False, "by_hand")]


async def test_what_a_transition_makes_for_one_that_is_switched_off_meanwhile_is_dropped_soon_after(
    engine: AsyncEngine, database: Database, building: Building
) -> None:
    """It had seen it before, so its row waits for a subscription that nobody sends to."""
    meter = building.installation_ids[0]
    stays, off, removed = [await add_webhook(engine, building.tenant_id) for _ in range(3)]
    await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
    by_hand = "enabled = false, disabled_at = now(), disabled_because = 'by_hand'"
    await change(engine, f"UPDATE subscription SET {by_hand} WHERE id = :id", id=off)
    await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=removed)
    async with open_engine(database.alerts_url, application_name="mbus-tests") as service:
        assert await drop_strays(service) == 2
        assert await drop_strays(service) == 0
    assert await deliveries(engine, stays) == [("installation.stale", "waits")]
    for one in (off, removed):
        assert await deliveries(engine, one) == [("installation.stale", "disabled")]


async def test_secrets_that_nothing_is_signed_with_any_more_are_forgotten(
    engine: AsyncEngine, database: Database, building: Building
) -> None:
    rotated, removed = [await add_webhook(engine, building.tenant_id) for _ in range(2)]
    for age, secret in (("-1 hour", "over"), ("1 hour", "still good")):
        await change(
            engine,
            "INSERT INTO subscription_secret (subscription_id, secret, expires_at)"
            f" VALUES (:id, :secret, now() + interval '{age}')",
            id=rotated,
            secret=secret,
        )
    await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=removed)
    async with open_engine(database.alerts_url, application_name="mbus-tests") as service:
        assert await forget_secrets(service) == 2
    left = await rows(engine, "SELECT subscription_id, secret = 'over' FROM subscription_secret")
    assert left == [(rotated, False), (rotated, False)]


async def test_those_that_hear_of_less_are_told_no_more_than_that_one_was_disabled(
    engine: AsyncEngine, database: Database, building: Building
) -> None:
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    here, there = building.property_id, other.property_id
    tenant, meter = building.tenant_id, building.installation_ids[0]
    ends = await add_webhook(engine, tenant, "https://secret.example.com/x", name="ours", property_ids=[here])
    await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
    knows = {await add_mail(engine, tenant), await add_webhook(engine, tenant, property_ids=[there, here])}
    bare = await add_webhook(engine, tenant, property_ids=[there])
    async with open_engine(database.alerts_url, application_name="mbus-tests") as service:
        (claim,) = await take(service, by_mail=False, failing=False, at_most=10, wait=timedelta(0))
        assert claim.id == ends
        async with service.begin() as connection:
            await disable(
                connection,
                claim,
                because=DisabledBecause.FAILING,
                reason="404 Not Found",
                failing_since=None,
                now=claim.now,
            )
    found = await rows(
        engine,
        "SELECT subscription_id, event #>> '{data,subscription_name}', event #>> '{data,target}',"
        " event #>> '{data,reason}', event #>> '{data,kind}' FROM delivery WHERE event_type = 'subscription.disabled'",
    )
    assert {tuple(row) for row in found} == {
        *((one, "ours", "secret.example.com", "404 Not Found", "webhook") for one in knows),
        (bare, str(ends), "", "", "webhook"),
    }


async def test_of_one_that_hears_of_all_properties_only_those_that_do_too_are_told_more(
    engine: AsyncEngine, database: Database, building: Building
) -> None:
    meter = building.installation_ids[0]
    await add_webhook(engine, building.tenant_id, name="ours")
    await tell(engine, building, "installation.stale", await open_alert(engine, building, meter), meter)
    all_of_it = await add_webhook(engine, building.tenant_id)
    some = await add_webhook(engine, building.tenant_id, property_ids=[building.property_id])
    off, removed = [await add_webhook(engine, building.tenant_id) for _ in range(2)]
    by_hand = "enabled = false, disabled_at = now(), disabled_because = 'by_hand'"
    await change(engine, f"UPDATE subscription SET {by_hand} WHERE id = :id", id=off)
    await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=removed)
    await add_webhook(engine, (await create_building(engine, meters=0)).tenant_id)
    async with open_engine(database.alerts_url, application_name="mbus-tests") as service:
        (claim,) = await take(service, by_mail=False, failing=False, at_most=10, wait=timedelta(0))
        async with service.begin() as connection:
            await disable(
                connection, claim, because=DisabledBecause.GONE, reason="410 Gone", failing_since=None, now=claim.now
            )
    found = await rows(
        engine,
        "SELECT subscription_id, event #>> '{data,reason}' FROM delivery WHERE event_type = 'subscription.disabled'",
    )
    # Neither to one that is disabled or removed, nor to another tenant's.
    assert {tuple(row) for row in found} == {(all_of_it, "410 Gone"), (some, "")}
