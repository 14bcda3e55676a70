"""Stores a batch of gateway messages in one transaction: what is good as readings, what is not in quarantine."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest import judging
from services.ingest.batches import tell_feed
from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.frontier import Frontier
from services.ingest.heard import HeardMemory, gateways_heard, write_heard
from services.ingest.judging import Judgement
from services.ingest.merge import Merged, plan_rounds, write
from services.ingest.payload import NotAMessageError, Payload, parse
from services.ingest.quarantine import keep
from services.ingest.queries import begin, learn_gateways, learn_installations
from services.ingest.registry import Registry, RegistryMemory
from services.ingest.verdicts import Accepted
from services.ingest.wmbus import telegrams
from services.ingest.wmbus.readings import to_readings
from services.ingest.wmbus.telegrams import SentTelegrams
from shared.clock import Clock
from shared.topology import GatewayFormat


@dataclass(frozen=True)
class StoredBatch:
    """What became of a batch: which messages are dead letters, which readings count as heard, and the sums.

    `received` is how many readings the messages were found to hold; it is no sum of the others, but must equal it.
    """

    dead_letters: dict[int, DeadLetter]
    received: int
    accepted: list[Accepted]
    merged: Merged
    quarantined: int

    @property
    def unchanged(self) -> int:
        """Accepted readings that were stored before, or twice in this batch."""
        return len(self.accepted) - self.merged.stored - self.merged.corrected


@dataclass(frozen=True)
class Memory:
    """What a process remembers from one batch to the next; nothing is lost with it but time."""

    registry: RegistryMemory = field(default_factory=RegistryMemory)
    frontier: Frontier = field(default_factory=Frontier)
    heard: HeardMemory = field(default_factory=HeardMemory)


async def store(
    engine: AsyncEngine, deliveries: Sequence[GatewayDelivery], memory: Memory, clock: Clock
) -> StoredBatch:
    """Judge and store every reading in `deliveries`. All or nothing, and safe to repeat."""
    messages, dead_letters = _parse(deliveries)
    if not messages:
        return StoredBatch(dead_letters, 0, [], Merged(), 0)
    async with engine.begin() as connection:
        now = clock()
        version, first_number = await begin(connection)
        registry = memory.registry.at(version)
        judgements = await _judge(connection, messages, registry, now)
        accepted = [reading for judgement in judgements for reading in judgement.accepted]
        quarantined = [reading for judgement in judgements for reading in judgement.quarantined]
        merged = await write(connection, plan_rounds(accepted), memory.frontier, itertools.count(first_number))
        await keep(connection, quarantined)
        # Late: whoever waits for another writer with the same gateways waits for little more than its commit.
        gateways = memory.heard.news(gateways_heard((delivery for delivery, _ in messages), registry))
        await write_heard(connection, gateways)
        await tell_feed(connection, merged.batches)
    memory.frontier.advance(accepted)
    memory.heard.advance(gateways)
    received = sum(message.count for _, message in messages)
    return StoredBatch(dead_letters, received, accepted, merged, len(quarantined))


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


async def _judge(
    connection: AsyncConnection,
    messages: Sequence[tuple[GatewayDelivery, Payload | SentTelegrams]],
    registry: Registry,
    now: datetime,
) -> list[Judgement]:
    await learn_gateways(connection, registry, (delivery.gateway_id for delivery, _ in messages))
    payloads = await _resolve_telegrams(connection, messages, registry)
    judgements = judging.begin(payloads, registry, now)
    written_ids, serials = judging.asked_for(judgements, registry)
    if await learn_installations(connection, registry, written_ids=written_ids, serials=serials):
        judgements = judging.begin(payloads, registry, now)
    for judgement in judgements:
        judging.finish(judgement, registry, now)
    return judgements


async def _resolve_telegrams(
    connection: AsyncConnection, messages: Sequence[tuple[GatewayDelivery, Payload | SentTelegrams]], registry: Registry
) -> list[tuple[GatewayDelivery, Payload]]:
    """Make readings of the telegrams: which of their fields is the value depends on the installation."""
    serials = [
        (tenant_id, serial)
        for delivery, message in messages
        if isinstance(message, SentTelegrams)
        and (tenant_id := registry.tenants_of_gateways.get(delivery.gateway_id)) is not None
        for serial in message.spellings
    ]
    await learn_installations(connection, registry, written_ids=(), serials=serials)
    return [
        (delivery, message if isinstance(message, Payload) else to_readings(message, delivery.gateway_id, registry))
        for delivery, message in messages
    ]
