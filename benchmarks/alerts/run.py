"""One run of the bench: folds, lateness, sweeps, deliveries and webhooks, and what came of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.alerts.deliveries import DeliveryResult, measure_deliveries
from benchmarks.alerts.folds import FoldResult, FoldSize, measure_folds
from benchmarks.alerts.punctuality import LatenessResult, LatenessSize, measure_lateness
from benchmarks.alerts.sweeps import SweepResult, SweepSize, measure_sweeps
from benchmarks.alerts.webhooks import WebhookResult, measure_webhooks
from benchmarks.place import BenchServers, open_place

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    folds: FoldSize
    lateness: LatenessSize
    sweeps: SweepSize
    webhooks: int
    """Deliveries to one endpoint."""


@dataclass(frozen=True, kw_only=True)
class AlertsResult(WebhookResult, SweepResult, DeliveryResult, FoldResult, LatenessResult):
    """The figures."""

    hypertable: bool
    postgresql: str


async def run_bench(servers: BenchServers, size: Size, *, hypertable: bool, tell: Tell) -> AlertsResult:
    """Measure; `hypertable` where TimescaleDB is loaded."""
    async with open_place(servers, hypertable=hypertable) as place:
        tell(f"PostgreSQL {place.server}, `reading` is {'a hypertable' if place.is_hypertable else 'a plain table'}")
        folded = await measure_folds(place, size.folds, tell=tell)
    async with open_place(servers, hypertable=hypertable) as place:
        late = await measure_lateness(
            place, size.lateness, ingest_readings_per_s=folded.ingest_readings_per_s, tell=tell
        )
    async with (
        open_place(servers, hypertable=hypertable) as place,
        open_place(servers, hypertable=hypertable) as larger,
    ):
        swept = await measure_sweeps(place, larger, size.sweeps, tell=tell)
        delivered = await measure_deliveries(place, tell=tell)
    async with open_place(servers, hypertable=hypertable) as place:
        posted = await measure_webhooks(place, size.webhooks, tell=tell)
    return AlertsResult(
        **asdict(swept),
        **asdict(delivered),
        **asdict(folded),
        **asdict(late),
        **asdict(posted),
        hypertable=place.is_hypertable,
        postgresql=place.server,
    )


def as_json(result: AlertsResult) -> dict[str, Any]:
    """The figures under the names that programs read."""
    return asdict(result)
