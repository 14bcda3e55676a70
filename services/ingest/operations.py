"""Stores a batch of gateway messages in one transaction: what is good as readings, what is not in quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.merge import Merged, merge, plan_rounds
from services.ingest.payload import NotAMessageError, Payload, parse
from services.ingest.quarantine import keep
from services.ingest.queries import find_registry
from services.ingest.reasons import Refused
from services.ingest.verdicts import Accepted, Registry, judge, refuse_contradictions
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
    payloads, dead_letters = _parse(deliveries)
    if not payloads:
        return StoredBatch(dead_letters, [], Merged(0, 0), 0)
    now = clock()
    async with engine.begin() as connection:
        registry = await find_registry(
            connection,
            {delivery.gateway_id for delivery, _ in payloads},
            (reading for _, payload in payloads for reading in payload.readings if not isinstance(reading, Refused)),
        )
        accepted, refused = _judge(payloads, registry, now)
        merged = await merge(connection, plan_rounds(accepted)) if accepted else Merged(0, 0)
        await keep(connection, refused, now)
    return StoredBatch(dead_letters, accepted, merged, len(refused))


def _parse(
    deliveries: Sequence[GatewayDelivery],
) -> tuple[list[tuple[GatewayDelivery, Payload]], dict[int, DeadLetter]]:
    payloads: list[tuple[GatewayDelivery, Payload]] = []
    dead_letters: dict[int, DeadLetter] = {}
    for number, delivery in enumerate(deliveries):
        if delivery.format is GatewayFormat.WMBUS:
            dead_letters[number] = DeadLetter("telegrams of wmbusmeters are not read yet")
            continue
        try:
            payloads.append((delivery, parse(delivery.body)))
        except NotAMessageError as error:
            dead_letters[number] = DeadLetter(str(error))
    return payloads, dead_letters


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
