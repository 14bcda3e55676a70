"""The whole way, all real: gateway → broker → ingest → database → event → alerts → a subscriber's queue."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker_accounts import put_gateway_account
from shared.broker_admin import BrokerAdmin
from tests.services.alerts.standing import change, rows, states
from tests.support.databases import Database
from tests.support.messages import Subscriber, eventually, publish_as_gateway
from tests.support.registry import Building, create_building
from tests.support.services import running_alerts, running_ingest
from tests.support.vhosts import Vhost


@asynccontextmanager
async def account_of(building: Building, vhost: Vhost) -> AsyncIterator[str]:
    """The URL of the broker for the building's gateway, which has an account until the block ends."""
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await put_gateway_account(admin, building.gateway_id, "secret")
        try:
            yield vhost.url_for(building.gateway_id, "secret")
        finally:
            await admin.delete_account(building.gateway_id)


async def test_a_gateways_reading_becomes_an_alert_when_no_other_follows_and_a_recovery_when_one_does(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    now = datetime.now(UTC)
    building = await create_building(engine, meters=1, installed_at=now - timedelta(hours=47))
    (installation,) = building.installation_ids
    nearly_stale = now - timedelta(hours=48) + timedelta(seconds=3)
    async with (
        account_of(building, vhost) as gateway_url,
        running_ingest(database, vhost),
        running_alerts(database, vhost),
        Subscriber.on_alerts(vhost.url, f"{building.tenant_id}.#") as subscriber,
    ):
        reading = {"meter_serial": "70000000", "timestamp": nearly_stale.isoformat(), "value": 41.5}
        await publish_as_gateway(gateway_url, building.gateway_id, {"readings": [reading]})
        stale = await subscriber.next()
        reading |= {"timestamp": datetime.now(UTC).isoformat(), "value": 42.5}
        await publish_as_gateway(gateway_url, building.gateway_id, {"readings": [reading]})
        recovered = await subscriber.next()

    assert [stale.routing_key, recovered.routing_key] == [
        f"{building.tenant_id}.installation.stale",
        f"{building.tenant_id}.installation.recovered",
    ]
    assert json.loads(stale.body)["data"]["last_reading"]["value"] == 41.5
    assert json.loads(recovered.body)["data"]["last_reading"]["value"] == 42.5
    async with engine.connect() as connection:
        stored = await connection.execute(
            text("SELECT value FROM reading WHERE meter_installation_id = :id ORDER BY timestamp"), {"id": installation}
        )
        assert stored.scalars().all() == [41.5, 42.5]


async def test_a_gateway_that_falls_silent_is_told_and_that_it_is_back_but_nothing_of_the_meters_behind_it(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    now = datetime.now(UTC)
    building = await create_building(engine, meters=2, installed_at=now - timedelta(hours=48) + timedelta(seconds=6))
    registered_at = now - timedelta(hours=36) + timedelta(seconds=3)
    await change(engine, "UPDATE gateway_status SET registered_at = :at, due_at = :at", at=registered_at)
    async with (
        account_of(building, vhost) as gateway_url,
        running_ingest(database, vhost),
        running_alerts(database, vhost, ingest=False),
        Subscriber.on_alerts(vhost.url, f"{building.tenant_id}.#") as subscriber,
    ):
        silent = await subscriber.next()
        await eventually(lambda: stand(engine, ["stale", "stale"]))
        reading = {"meter_serial": "70000000", "timestamp": datetime.now(UTC).isoformat(), "value": 41.5}
        await publish_as_gateway(gateway_url, building.gateway_id, {"readings": [reading]})
        recovered = await subscriber.next()
        await eventually(lambda: stand(engine, ["fresh", "stale"]))
        assert subscriber.waiting == 0

    assert [silent.routing_key, recovered.routing_key] == [
        f"{building.tenant_id}.gateway.silent",
        f"{building.tenant_id}.gateway.recovered",
    ]
    begun, ended = json.loads(silent.body)["data"], json.loads(recovered.body)["data"]
    assert begun["alert_id"] == ended["alert_id"]
    assert (begun["gateway_id"], begun["installations"]) == (building.gateway_id, 2)
    assert [datetime.fromisoformat(one["silent_since"]) for one in (begun, ended)] == [registered_at] * 2
    assert datetime.fromisoformat(ended["last_heard_at"]) > now
    assert await rows(engine, "SELECT type FROM alert") == [("gateway.silent",)]


async def stand(engine: AsyncEngine, expected: list[str]) -> bool:
    """Whether the states of the meters are these."""
    return await states(engine) == expected
