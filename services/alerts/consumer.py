"""Takes `readings.stored` events from the queue and hands them to the fold; acknowledges them last."""

import msgspec
from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitMessage
from opentelemetry.trace import SpanKind, Tracer

from services.alerts.metrics import AlertsMetrics
from shared import topology
from shared.broker import dead_letter, working_queue
from shared.database_errors import log_refusal, name_of
from shared.group_commit import GroupCommit
from shared.logs import get_logger
from shared.messages.readings_stored import ReadingsStored, ReadingsStoredEvent, decode
from shared.tracing import TRACEPARENT, TRACESTATE, context_of, span

log = get_logger(__name__)

Folds = GroupCommit[ReadingsStored, None]


def register_consumer(broker: RabbitBroker, folds: Folds, metrics: AlertsMetrics, tracer: Tracer) -> None:
    """Let `broker` feed events to `folds`."""

    @broker.subscriber(
        working_queue(topology.ALERTS_QUEUE), ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True, title="readings stored"
    )
    async def on_readings_stored(message: RabbitMessage) -> None:
        try:
            event = decode(message.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            await dead_letter(broker, message.raw_message, f"no readings.stored event: {error}")
            return
        with span(
            tracer,
            f"fold {topology.ALERTS_READINGS_STORED}",
            SpanKind.CONSUMER,
            parent=context_of({TRACEPARENT: event.traceparent, TRACESTATE: event.tracestate}),
            attributes={"messaging.system": "rabbitmq", "messaging.message.id": event.id},
        ):
            await _fold(message, event)

    async def _fold(message: RabbitMessage, event: ReadingsStoredEvent) -> None:
        try:
            await folds.submit(event.data)
        except Exception as error:  # noqa: BLE001 - the group commit raises what this event alone is to blame for
            log_refusal(log, "event_cannot_be_folded", error, event_id=event.id)
            await dead_letter(broker, message.raw_message, f"cannot be folded: {name_of(error)}")
            return
        metrics.heard.inc(sum(heard.count for heard in event.data.installations))
