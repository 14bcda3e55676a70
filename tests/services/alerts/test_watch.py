"""The watch: what it found is counted, and judgement that fails each time is seen by operators."""

import time
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.ingest_queue import IngestQueue
from services.alerts.metrics import AlertsMetrics
from services.alerts.operations.folding import fold
from services.alerts.rounds import Rounds
from services.alerts.watch import FAILS_AFTER_S, Watch
from shared.broker import create_broker
from shared.clock import Monotonic, utc_now
from shared.service_database import ServiceDatabase
from tests.services.alerts.standing import change, hear_gateway, heard, long_registered
from tests.support.databases import Database
from tests.support.registry import create_building
from tests.support.vhosts import Vhost

# And will for as long as a test takes.
SOMEBODY_LEADS = "UPDATE pipeline SET looked_at = now() + interval '10 s', judged_until = now()"


def watch_of(
    service: ServiceDatabase, vhost: Vhost, registry: CollectorRegistry, *, monotonic: Monotonic = time.monotonic
) -> Watch:
    """A watch that nobody runs."""
    metrics = AlertsMetrics(registry)
    rounds = Rounds(service, IngestQueue(vhost.alerts_url), settle=timedelta(0), metrics=metrics, clock=utc_now)
    broker = create_broker(vhost.alerts_url, app_id="test", prefetch=1, graceful_timeout_s=0)
    return Watch(service, broker, rounds, keep_deliveries=timedelta(days=30), metrics=metrics, monotonic=monotonic)


async def test_judgement_that_fails_each_time_is_told_until_it_goes_well_again(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    registry = CollectorRegistry()
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
    clock = [0.0]
    watch = watch_of(service, vhost, registry, monotonic=lambda: clock[0])
    await change(engine, SOMEBODY_LEADS)

    async with service.open():
        await watch.judge()
        assert watch.judgement().startswith("judged until")
        assert registry.get_sample_value("mbus_alerts_judging") == 1

        await change(engine, "ALTER TABLE installation_status RENAME due_at TO taken_away")
        for passed, told in ((0.0, False), (FAILS_AFTER_S / 2, False), (FAILS_AFTER_S, True)):
            clock[0] = 100.0 + passed
            with pytest.raises(ProgrammingError):
                await watch.judge()
            assert watch.judgement().startswith("fails") == told
            assert registry.get_sample_value("mbus_alerts_judging") == (0 if told else 1)

        await change(engine, "ALTER TABLE installation_status RENAME taken_away TO due_at")
        await watch.judge()
        assert watch.judgement().startswith("judged until")
        assert registry.get_sample_value("mbus_alerts_judging") == 1


async def test_what_changes_its_state_is_counted(engine: AsyncEngine, database: Database, vhost: Vhost) -> None:
    registry = CollectorRegistry()
    service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
    watch = watch_of(service, vhost, registry)
    building = await create_building(engine, meters=2)
    now = utc_now()
    await long_registered(engine, now - timedelta(hours=50))
    await hear_gateway(engine, building.gateway_id, now - timedelta(hours=49))
    await fold(engine, [heard(building, now - timedelta(hours=49))], now)

    def counted() -> dict[str, float | None]:
        return {
            "stale": registry.get_sample_value("mbus_alerts_transitions_total", {"to": "stale"}),
            "fresh": registry.get_sample_value("mbus_alerts_transitions_total", {"to": "fresh"}),
            "silent": registry.get_sample_value("mbus_alerts_gateway_transitions_total", {"to": "silent"}),
            "heard": registry.get_sample_value("mbus_alerts_gateway_transitions_total", {"to": "heard"}),
        }

    async with service.open():
        assert counted() == {"stale": 0, "fresh": 0, "silent": 0, "heard": 0}
        await change(engine, SOMEBODY_LEADS)
        await watch.judge()
        assert counted() == {"stale": 2, "fresh": 0, "silent": 1, "heard": 0}
        await hear_gateway(engine, building.gateway_id, now)
        await change(engine, "UPDATE tenant SET stale_after = '60 hours'")
        await watch.judge()
        assert counted() == {"stale": 2, "fresh": 1, "silent": 1, "heard": 1}
