"""A subscription that is ended while something is on its way to it: neither waits for the other."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.subscribers.disabling import DISABLE, DROP, drop_strays
from services.alerts.subscribers.secrets import forget_secrets
from services.alerts.webhooks.signing import new_secret
from shared.database import open_engine
from shared.models import DisabledBecause
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import deliveries, open_alert, tell
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import Building
from tests.support.subscriptions import add_webhook
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
