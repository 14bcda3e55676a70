"""Every exchange, queue and binding on the broker, in one place, and how they are declared.

`mbus migrate` declares all of it; each service declares what it uses again at its start, identically, so that it
does not matter which of them comes first.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

if TYPE_CHECKING:
    from pamqp.common import FieldTable

GATEWAYS = "gateways"
EVENTS = "events"
ALERTS = "alerts"
DEAD_LETTERS = "dead-letters"

OPERATOR = "operator"
"""In the place of a tenant: whom events of the pipeline are for."""

INGEST_READINGS = "ingest.readings"
ALERTS_READINGS_STORED = "alerts.readings-stored"

GATEWAY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a gateway's id may be, whole: it is a part of routing keys, and of regular expressions over them."""


class GatewayFormat(StrEnum):
    """What a gateway's message holds; the last part of its routing key says which."""

    READINGS = "readings"
    """Readings as docs/gateway-protocol.md describes them."""
    WMBUS = "wmbus"
    """Telegrams as wmbusmeters writes them (docs/wmbusmeters.md)."""


DELIVERY_LIMIT = 1_000_000
"""Before RabbitMQ 4.3 every return counts, also that of a worker that dies with good messages in hand; a low limit
would throw those away. Poison is recognised by ingest itself."""


def gateway_key(gateway_id: str, content: GatewayFormat) -> str:
    """The routing key under which a gateway publishes messages of a format to `gateways`."""
    return f"gateways.{gateway_id}.{content}"


def gateway_readings_key(gateway_id: str) -> str:
    """The routing key under which a gateway publishes its readings to `gateways`."""
    return gateway_key(gateway_id, GatewayFormat.READINGS)


def gateway_wmbus_key(gateway_id: str) -> str:
    """The routing key under which a gateway publishes telegrams of wmbusmeters to `gateways`."""
    return gateway_key(gateway_id, GatewayFormat.WMBUS)


def mqtt_topic(routing_key: str) -> str:
    """The MQTT topic that RabbitMQ's plugin turns into a routing key, and back."""
    return routing_key.replace(".", "/")


def readings_stored_key(tenant_id: object) -> str:
    """The routing key of a tenant's `readings.stored` events on `events`."""
    return f"readings.stored.{tenant_id}"


def alert_key(tenant_id: object, event_type: str) -> str:
    """The routing key of a tenant's alert events on `alerts`; those of nobody (None) are for operators."""
    return f"{OPERATOR if tenant_id is None else tenant_id}.{event_type}"


def session_queue(session_id: object) -> str:
    """The queue that a session of ingest declares for itself alone: it is there for as long as its connection is.

    Nothing is ever in it. Whoever asks for it is told that it is locked, or that it does not exist (any more).
    """
    return f"ingest.session.{session_id}"


def alert_pattern(scope: str) -> str:
    """What a queue is bound to `alerts` with for all events of a tenant (its id), or of operators."""
    return f"{scope}.#"


def subscriber_queue(scope: str, name: str) -> str:
    """What a subscriber's queue is called, or what its name begins with, before another dot."""
    return f"sub.{scope}.{name}"


@dataclass(frozen=True)
class Binding:
    """A queue takes from an exchange what matches the pattern."""

    exchange: str
    pattern: str


@dataclass(frozen=True)
class Queue:
    """A quorum queue: durable, replicated, and refusing rather than dropping when it is full."""

    name: str
    bindings: tuple[Binding, ...]
    dead_letters: bool = True

    @property
    def arguments(self) -> "FieldTable":
        """Its declaration's arguments; every declaration of a queue must repeat them exactly."""
        arguments: FieldTable = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-delivery-limit": DELIVERY_LIMIT,
        }
        if self.dead_letters:
            arguments |= {"x-dead-letter-exchange": DEAD_LETTERS, "x-dead-letter-strategy": "at-least-once"}
        return arguments


EXCHANGES: dict[str, ExchangeType] = {
    GATEWAYS: ExchangeType.TOPIC,
    EVENTS: ExchangeType.TOPIC,
    ALERTS: ExchangeType.TOPIC,
    DEAD_LETTERS: ExchangeType.FANOUT,
}

DEAD_LETTERS_QUEUE = Queue(DEAD_LETTERS, (Binding(DEAD_LETTERS, ""),), dead_letters=False)
INGEST_QUEUE = Queue(INGEST_READINGS, tuple(Binding(GATEWAYS, gateway_key("*", content)) for content in GatewayFormat))
ALERTS_QUEUE = Queue(ALERTS_READINGS_STORED, (Binding(EVENTS, "readings.stored.*"),))

QUEUES = (DEAD_LETTERS_QUEUE, INGEST_QUEUE, ALERTS_QUEUE)


async def declare(channel: AbstractChannel, queues: Iterable[Queue] = QUEUES, exchanges: Iterable[str] = ()) -> None:
    """Declare `queues`, the exchanges that they are bound to, and `exchanges`; what exists already is left as it is.

    Raises aio-pika's `ChannelPreconditionFailed` when something of the same name exists with other properties.
    """
    queues = list(queues)
    names = {binding.exchange for queue in queues for binding in queue.bindings} | set(exchanges)
    for name in sorted(names):
        await channel.declare_exchange(name, EXCHANGES[name], durable=True)
    for queue in queues:
        declared = await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
        for binding in queue.bindings:
            await declared.bind(binding.exchange, binding.pattern)
