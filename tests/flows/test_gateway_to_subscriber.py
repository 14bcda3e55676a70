"""The whole way, all real: gateway → broker → ingest → database → event → alerts → a subscriber's queue."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker_accounts import put_gateway_account
from shared.broker_admin import BrokerAdmin
from tests.support.databases import Database
from tests.support.messages import Subscriber, publish_as_gateway
from tests.support.registry import create_building
from tests.support.services import running_alerts, running_ingest
from tests.support.vhosts import Vhost


async def test_a_gateways_reading_becomes_an_alert_when_no_other_follows_and_a_recovery_when_one_does(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    now = datetime.now(UTC)
    building = await create_building(engine, meters=1, installed_at=now - timedelta(hours=47))
    (installation,) = building.installation_ids
    nearly_stale = now - timedelta(hours=48) + timedelta(seconds=3)
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await put_gateway_account(admin, building.gateway_id, "secret")
        try:
            gateway_url = vhost.url_for(building.gateway_id, "secret")
            async with (
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
        finally:
            await admin.delete_account(building.gateway_id)

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
