"""A dead letter as it is read again: why it is one, where it came from, and how it is sent there once more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Self

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from shared import topology
from shared.dead_letters import EXCHANGE_HEADER, REASON_HEADER, simple_headers
from shared.transmission import RECEIVED_AT_HEADER, Transmission, accepted_at

FROM_GATEWAY = re.compile(rf"gateways\.({topology.GATEWAY_ID.pattern})\..*", re.DOTALL)

REPLAYED_TO = (topology.GATEWAYS, topology.EVENTS)
"""Where messages come from that end as dead letters; nothing else is sent anywhere."""

NOT_OF_THE_MESSAGE = re.compile(rf"{REASON_HEADER}|{EXCHANGE_HEADER}|x-death|x-(first|last)-death-.*|x-delivery-count")
"""Headers that say what became of it."""

ID_CHARACTERS = 12


@dataclass(frozen=True)
class DeadLetter:
    """A message in the queue `dead-letters`.

    `id` is made of what it holds and when it was received, so that it is the same each time one looks; two that are
    equal in this have the same. `exchange` is where it was published first, None where nobody knows. Of some,
    nobody knows when they were received.
    """

    id: str
    reason: str
    exchange: str | None
    routing_key: str
    gateway_id: str | None
    received_at: datetime | None
    headers: Mapping[str, Any]
    body: bytes

    @classmethod
    def of(cls, message: AbstractIncomingMessage) -> Self:
        """Read one. Whatever a sender has put in, it can be read."""
        headers, key = message.headers, message.routing_key or ""
        death = _last_death(headers)
        gateway = FROM_GATEWAY.fullmatch(key)
        when = _received(headers, death)
        told = repr((key, message.message_id, when)).encode("utf-8", "backslashreplace")
        return cls(
            id=sha256(told + message.body).hexdigest()[:ID_CHARACTERS],
            reason=_reason(headers, death, message.exchange or ""),
            exchange=_exchange(headers, death, message.exchange or "", key),
            routing_key=key,
            gateway_id=gateway[1] if gateway else None,
            received_at=when.received_at if when else None,
            headers=headers,
            body=message.body,
        )

    @property
    def can_be_replayed(self) -> bool:
        """Whether it is known where it came from, and that is a place where messages come from."""
        return self.exchange in REPLAYED_TO


def replay_of(letter: DeadLetter, message: AbstractIncomingMessage, now: datetime) -> Message:
    """The message as it was sent, with when its original was received, so that it wins over nothing newer."""
    headers = {name: value for name, value in message.headers.items() if not NOT_OF_THE_MESSAGE.fullmatch(name)}
    when = _received(message.headers, _last_death(message.headers)) or Transmission(now, may_correct=False)
    return Message(
        letter.body,
        headers={**simple_headers(headers), **when.headers()},
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What RabbitMQ wrote down when a queue gave the message up; empty where none did."""
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    return last if isinstance(last, dict) else {}


def _reason(headers: Mapping[str, Any], death: Mapping[str, Any], exchange: str) -> str:
    written = headers.get(REASON_HEADER)
    if isinstance(written, str):
        return written
    if death:
        return f"given up by the queue {death.get('queue')}: {death.get('reason')}"
    return "unknown" if exchange == topology.DEAD_LETTERS else "no queue takes what has this routing key"


def _exchange(headers: Mapping[str, Any], death: Mapping[str, Any], exchange: str, key: str) -> str | None:
    """Where it was published first. What the broker says goes before what headers say, and that before the key."""
    if exchange != topology.DEAD_LETTERS:
        return exchange  # it came by the alternate exchange, which leaves this as it was
    for said in (death.get("exchange"), headers.get(EXCHANGE_HEADER)):
        if isinstance(said, str):
            return said
    if FROM_GATEWAY.fullmatch(key):
        return topology.GATEWAYS
    return topology.EVENTS if key.startswith("readings.stored.") else None


def _received(headers: Mapping[str, Any], death: Mapping[str, Any]) -> Transmission | None:
    """When its original was received, as well as that is known."""
    noted = Transmission.of_replay(headers)
    if noted is not None or RECEIVED_AT_HEADER in headers:
        return noted
    stamp = accepted_at(headers)
    if stamp is not None:
        # Of what a service put aside before it noted that time, it is when it did.
        return Transmission(stamp, may_correct=REASON_HEADER not in headers)
    died_at = death.get("time")
    return Transmission(died_at.astimezone(UTC), may_correct=False) if isinstance(died_at, datetime) else None
