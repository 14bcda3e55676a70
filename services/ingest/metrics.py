"""Ingest's figures. The ledger: received = stored + unchanged + corrected + quarantined, always."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.ingest.operations import StoredBatch


class IngestMetrics:
    """Counters and histograms of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._received = Counter(
            "mbus_ingest_readings_received", "Readings found in the messages that were committed", registry=registry
        )
        self._readings = Counter(
            "mbus_ingest_readings", "Readings by what became of them", ["verdict"], registry=registry
        )
        self._replayed = Counter(
            "mbus_ingest_readings_replayed", "Quarantined readings that ingest sent again itself", registry=registry
        )
        self._messages = Counter(
            "mbus_ingest_messages", "Gateway messages by what became of them", ["outcome"], registry=registry
        )
        self._batch = Histogram(
            "mbus_ingest_batch_readings",
            "Readings in a commit",
            buckets=(1, 10, 100, 1_000, 3_000, 10_000, 30_000),
            registry=registry,
        )
        self._commit = Histogram("mbus_ingest_commit_seconds", "Time to judge and commit a batch", registry=registry)

    def committed(self, batch: StoredBatch, *, messages: int, seconds: float) -> None:
        """Count a batch that is committed, all at once: the figures agree whenever they are read."""
        self._received.inc(batch.received)
        self._readings.labels("stored").inc(batch.merged.stored)
        self._readings.labels("corrected").inc(batch.merged.corrected)
        self._readings.labels("unchanged").inc(batch.unchanged)
        self._readings.labels("quarantined").inc(batch.quarantined)
        self._messages.labels("stored").inc(messages - len(batch.dead_letters))
        self._batch.observe(len(batch.accepted) + batch.quarantined)
        self._commit.observe(seconds)

    def dead_lettered(self) -> None:
        """Count a message that is in `dead-letters`."""
        self._messages.labels("dead_lettered").inc()

    def replayed(self, readings: int) -> None:
        """Count quarantined readings whose cause has gone and that are in the queue again."""
        self._replayed.inc(readings)
