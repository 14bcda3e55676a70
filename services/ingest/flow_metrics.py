"""How readings flow through one process: batches, times, what is in hand, what failed. The ledger is in `metrics`."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.ingest.delivery import DeadLetter, GatewayDelivery
from shared.clock import Clock
from shared.database_errors import kind
from shared.group_commit import GroupCommit

LAG_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
"""Seconds: from a gateway that is heard at once to a backlog of a day."""

KINDS = ("refused", "suspicious", "conflict", "not_writable", "away", "other")
"""What `shared.database_errors.kind` may say."""


class FlowMetrics:
    """Counters, histograms and gauges of one process; labels take few values and never a tenant's or a gateway's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Histogram(
            "mbus_ingest_batch_messages",
            "Gateway messages in a commit",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
            registry=registry,
        )
        self._tell = Histogram(
            "mbus_ingest_tell_seconds", "Time to publish a commit's events until they are confirmed", registry=registry
        )
        self._lag = Histogram(
            "mbus_ingest_lag_seconds",
            "Age of a commit's oldest message, since the broker accepted it, or since ingest took it where that is"
            " not known; replays left out",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "mbus_ingest_write_failures", "Tries to write a batch that failed, by kind", ["kind"], registry=registry
        )
        self._events = Counter(
            "mbus_ingest_events", "Tries to publish a readings.stored event", ["outcome"], registry=registry
        )
        self._in_hand = Gauge("mbus_ingest_in_hand_messages", "Messages taken and not yet written", registry=registry)
        self._bytes = Gauge("mbus_ingest_in_hand_bytes", "The bodies of the messages in hand", registry=registry)
        self._oldest = Gauge(
            "mbus_ingest_in_hand_oldest_seconds",
            "Age of the oldest message in hand, replays left out; 0 without one",
            registry=registry,
        )
        self._failing = Gauge(
            "mbus_ingest_writes_failing_seconds", "For how long every try to write has failed", registry=registry
        )
        # From the start, so that the first failure is an increase.
        for one in KINDS:
            self._failures.labels(one)
        for outcome in ("published", "failed"):
            self._events.labels(outcome)

    def watch(self, commits: GroupCommit[GatewayDelivery, DeadLetter | None], clock: Clock) -> None:
        """Show what `commits` has in hand, at each scrape."""

        def oldest() -> float:
            return _age_of_oldest(commits.items_in_hand, clock) or 0.0

        figures: dict[Gauge, Callable[[], float]] = {
            self._in_hand: lambda: commits.in_hand,
            self._bytes: lambda: commits.weight_in_hand,
            self._oldest: oldest,
            self._failing: lambda: commits.failing_for_s,
        }
        for gauge, figure in figures.items():
            gauge.set_function(figure)

    def committed(self, deliveries: Sequence[GatewayDelivery], clock: Clock) -> None:
        """Note a batch that is committed."""
        self._messages.observe(len(deliveries))
        if (age := _age_of_oldest(deliveries, clock)) is not None:
            self._lag.observe(age)

    def told(self, *, seconds: float) -> None:
        """Note that all events of a batch are confirmed."""
        self._tell.observe(seconds)

    def published(self) -> None:
        """Count an event that is confirmed."""
        self._events.labels("published").inc()

    def not_published(self) -> None:
        """Count a try that failed; there will be another."""
        self._events.labels("failed").inc()

    def write_failed(self, error: Exception) -> None:
        """Count a try to write that failed."""
        self._failures.labels(kind(error)).inc()


def _age_of_oldest(deliveries: Iterable[GatewayDelivery], clock: Clock) -> float | None:
    """In seconds; None without any. Replays do not count: theirs is the age of an original that was not late."""
    received = [delivery.received_at for delivery in deliveries if not delivery.is_replay]
    return max(0.0, (clock() - min(received)).total_seconds()) if received else None
