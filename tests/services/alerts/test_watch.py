"""The watch: judgement that fails each time is seen by operators."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.ingest_queue import IngestQueue
from services.alerts.metrics import AlertsMetrics
from services.alerts.rounds import Rounds
from services.alerts.watch import FAILS_AFTER_S, Watch
from shared.broker import create_broker
from shared.clock import utc_now
from shared.service_database import ServiceDatabase
from tests.services.alerts.standing import change
from tests.support.databases import Database
from tests.support.vhosts import Vhost


async def test_judgement_that_fails_each_time_is_told_until_it_goes_well_again(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    registry = CollectorRegistry()
    metrics = AlertsMetrics(registry)
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
    queue = IngestQueue(vhost.alerts_url)
    rounds = Rounds(service, queue, settle=timedelta(0), metrics=metrics, clock=utc_now)
    broker = create_broker(vhost.alerts_url, app_id="test", prefetch=1, graceful_timeout_s=0)
    time = [0.0]
    watch = Watch(
        service, broker, rounds, keep_deliveries=timedelta(days=30), metrics=metrics, monotonic=lambda: time[0]
    )
    # Somebody leads, and will for as long as this test takes.
    await change(engine, "UPDATE pipeline SET looked_at = now() + interval '1 hour', judged_until = now()")

    async with service.open():
        await watch.judge()
        assert watch.judgement().startswith("judged until")
        assert registry.get_sample_value("mbus_alerts_judging") == 1

        await change(engine, "ALTER TABLE installation_status RENAME due_at TO taken_away")
        for passed, told in ((0.0, False), (FAILS_AFTER_S / 2, False), (FAILS_AFTER_S, True)):
            time[0] = 100.0 + passed
            with pytest.raises(ProgrammingError):
                await watch.judge()
            assert watch.judgement().startswith("fails") == told
            assert registry.get_sample_value("mbus_alerts_judging") == (0 if told else 1)

        await change(engine, "ALTER TABLE installation_status RENAME taken_away TO due_at")
        await watch.judge()
        assert watch.judgement().startswith("judged until")
        assert registry.get_sample_value("mbus_alerts_judging") == 1
