"""The write of a group commit: store the batch, then tell what was heard, until the broker has confirmed it."""

import asyncio
import time
from collections.abc import Sequence

from faststream.rabbit import RabbitBroker
from opentelemetry.trace import Tracer

from services.ingest.database_time import DatabaseTime
from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.events import readings_stored
from services.ingest.flow_metrics import FlowMetrics
from services.ingest.metrics import IngestMetrics
from services.ingest.operations import Memory, store
from services.ingest.traces import commit_span, event_span
from shared import topology
from shared.broker import RETRY_S, UNREACHABLE, publish
from shared.logs import get_logger
from shared.messages.cloudevents import CONTENT_TYPE
from shared.messages.readings_stored import ReadingsStoredEvent, encode
from shared.service_database import ServiceDatabase

log = get_logger(__name__)


class ReadingWriter:
    """Commits batches and publishes their events; the messages are acknowledged only after that."""

    def __init__(
        self,
        database: ServiceDatabase,
        broker: RabbitBroker,
        metrics: IngestMetrics,
        flow: FlowMetrics,
        database_time: DatabaseTime,
        *,
        tracer: Tracer,
    ) -> None:
        self._database = database
        self._broker = broker
        self._metrics = metrics
        self._flow = flow
        self._tracer = tracer
        self._time = database_time
        self._memory = Memory()

    async def write(self, deliveries: Sequence[GatewayDelivery]) -> list[DeadLetter | None]:
        """Store and tell; for each delivery None, or why it is a dead letter."""
        with commit_span(self._tracer, deliveries):
            started = time.perf_counter()
            batch = await store(self._database.engine, deliveries, self._memory, self._time.latest)
            committed = time.perf_counter()
            self._metrics.committed(batch, messages=len(deliveries), seconds=committed - started)
            self._flow.committed(deliveries, self._time.now)
            for event in readings_stored(batch.accepted, self._time.now()):
                with event_span(self._tracer, event, deliveries) as (traced, headers):
                    await self._tell(traced, headers)
            self._flow.told(seconds=time.perf_counter() - committed)
        return [batch.dead_letters.get(number) for number in range(len(deliveries))]

    async def _tell(self, event: ReadingsStoredEvent, headers: dict[str, str]) -> None:
        """Publish until it is confirmed: the commit is done, and to write it again would tell nothing new."""
        while True:
            try:
                await publish(
                    self._broker,
                    encode(event),
                    exchange=topology.EVENTS,
                    routing_key=topology.readings_stored_key(event.data.tenant_id),
                    content_type=CONTENT_TYPE,
                    message_id=event.id,
                    headers=headers,
                )
            except UNREACHABLE as error:
                self._flow.not_published()
                log.warning("event_not_published", event_id=event.id, error=repr(error), retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
            else:
                self._flow.published()
                return
