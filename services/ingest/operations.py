"""Stores a batch of gateway messages in one transaction: what is good as readings, what is not in quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.merge import Merged, merge, plan_rounds
from services.ingest.payload import NotAMessageError, Payload, parse
from services.ingest.quarantine import keep
from services.ingest.queries import find_registry
from services.ingest.reasons import Refused
from services.ingest.verdicts import Accepted, Registry, judge, refuse_contradictions
from services.ingest.wmbus import telegrams
from services.ingest.wmbus.queries import find_meters
from services.ingest.wmbus.readings import Meters, to_readings
from services.ingest.wmbus.telegrams import SentTelegrams
from shared.clock import Clock
from shared.topology import GatewayFormat


@dataclass(frozen=True)
class GatewayDelivery:
    """A message as it came from the broker; nothing of its body has been looked at.

    `may_correct` is false where nobody knows when the broker accepted it first: it may be older than what is stored.
    """

    gateway_id: str
    body: bytes
    received_at: datetime
    may_correct: bool
    format: GatewayFormat = GatewayFormat.READINGS


@dataclass(frozen=True)
class DeadLetter:
    """A message that is none, with the reason."""

    reason: str


@dataclass(frozen=True)
class StoredBatch:
    """What became of a batch: which messages are dead letters, which readings count as heard, and the sums."""

    dead_letters: dict[int, DeadLetter]
    accepted: list[Accepted]
    merged: Merged
    quarantined: int

    @property
    def unchanged(self) -> int:
        """Accepted readings that were stored before, or twice in this batch."""
        return len(self.accepted) - self.merged.stored - self.merged.corrected


async def store(engine: AsyncEngine, deliveries: Sequence[GatewayDelivery], clock: Clock) -> StoredBatch:
    """Judge and store every reading in `deliveries`. All or nothing, and safe to repeat."""
    messages, dead_letters = _parse(deliveries)
    if not messages:
        return StoredBatch(dead_letters, [], Merged(0, 0), 0)
    now = clock()
    async with engine.begin() as connection:
        registry = await find_registry(
            connection,
            {delivery.gateway_id for delivery, _ in messages},
            (
                reading
                for _, message in messages
                if isinstance(message, Payload)
                for reading in message.readings
                if not isinstance(reading, Refused)
            ),
        )
        payloads, registry = await _resolve_telegrams(connection, messages, registry)
        accepted, refused = _judge(payloads, registry, now)
        merged = await merge(connection, plan_rounds(accepted)) if accepted else Merged(0, 0)
        await keep(connection, refused, now)
    return StoredBatch(dead_letters, accepted, merged, len(refused))


def _parse(
    deliveries: Sequence[GatewayDelivery],
) -> tuple[list[tuple[GatewayDelivery, Payload | SentTelegrams]], dict[int, DeadLetter]]:
    messages: list[tuple[GatewayDelivery, Payload | SentTelegrams]] = []
    dead_letters: dict[int, DeadLetter] = {}
    for number, delivery in enumerate(deliveries):
        try:
            if delivery.format is GatewayFormat.WMBUS:
                messages.append((delivery, telegrams.parse(delivery.body)))
            else:
                messages.append((delivery, parse(delivery.body)))
        except NotAMessageError as error:
            dead_letters[number] = DeadLetter(str(error))
    return messages, dead_letters


async def _resolve_telegrams(
    connection: AsyncConnection, messages: Sequence[tuple[GatewayDelivery, Payload | SentTelegrams]], registry: Registry
) -> tuple[list[tuple[GatewayDelivery, Payload]], Registry]:
    """Make readings of the telegrams, and add their installations to the registry."""
    sent = [message for _, message in messages if isinstance(message, SentTelegrams)]
    meters = Meters({}, {})
    if sent:
        meters, registry = await find_meters(connection, registry, sent)
    return [
        (
            delivery,
            message if isinstance(message, Payload) else to_readings(message, delivery.gateway_id, registry, meters),
        )
        for delivery, message in messages
    ], registry


def _judge(
    payloads: Sequence[tuple[GatewayDelivery, Payload]], registry: Registry, now: datetime
) -> tuple[list[Accepted], list[tuple[str, Refused, str]]]:
    """Accepted readings; refused ones with their gateway and original text."""
    accepted: list[Accepted] = []
    refused: list[tuple[str, Refused, str]] = []
    for delivery, payload in payloads:
        verdicts = [
            reading
            if isinstance(reading, Refused)
            else judge(
                reading,
                gateway_id=delivery.gateway_id,
                claimed_gateway=payload.claimed_gateway,
                received_at=delivery.received_at,
                may_correct=delivery.may_correct,
                registry=registry,
                now=now,
            )
            for reading in payload.readings
        ]
        faults: list[tuple[int, Refused]] = []
        for number, verdict in enumerate(refuse_contradictions(verdicts)):
            if isinstance(verdict, Refused):
                faults.append((number, verdict))
            else:
                accepted.append(verdict)
        if faults:
            originals = payload.originals()
            refused.extend((delivery.gateway_id, verdict, originals[number]) for number, verdict in faults)
    return accepted, refused
