"""Judges the messages of a batch: at once what is usual, and what is odd when the registry has been asked for it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.ingest.delivery import GatewayDelivery
from services.ingest.moments import Moments, moment
from services.ingest.payload import Payload, SentReading
from services.ingest.reasons import Reason, Refused
from services.ingest.registry import Registry
from services.ingest.verdicts import (
    FUTURE_TOLERANCE,
    Accepted,
    Sender,
    judge,
    judge_usual,
    refuse_contradictions,
    written_id,
)

MAX_CLAIM = 100
"""Characters; a gateway's id has 64 at most, and a message may have thousands of readings under a claim."""


@dataclass(frozen=True)
class Quarantined:
    """A refused reading with its verdict and its original text."""

    delivery: GatewayDelivery
    refused: Refused
    original: str


@dataclass
class Judgement:
    """A message on its way through judgement: what is accepted, and the numbers of its readings that are odd."""

    payload: Payload
    sender: Sender
    accepted: list[Accepted] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    @property
    def odd_readings(self) -> Iterator[SentReading]:
        """The odd ones that are readings at all."""
        for number in self.odd:
            reading = self.payload.readings[number]
            if not isinstance(reading, Refused):
                yield reading


def begin(messages: Iterable[tuple[GatewayDelivery, Payload]], registry: Registry, now: datetime) -> list[Judgement]:
    """Accept all in `messages` with which nothing is odd, by what `registry` knows already."""
    moments, latest = Moments(), moment(now + FUTURE_TOLERANCE)
    judgements = []
    for delivery, payload in messages:
        judgement = Judgement(payload, Sender(delivery, payload.claimed_gateway))
        if payload.clean is None:
            judgement.odd = list(range(len(payload.readings)))
        else:
            judgement.accepted, judgement.odd = judge_usual(
                payload.clean, judgement.sender, registry=registry, moments=moments, latest=latest
            )
        judgements.append(judgement)
    return judgements


def asked_for(judgements: Iterable[Judgement], registry: Registry) -> tuple[set[str], set[tuple[UUID, str]]]:
    """The ids as they were written, and the tenants' serials, that the odd readings name."""
    written_ids: set[str] = set()
    serials: set[tuple[UUID, str]] = set()
    for judgement in judgements:
        tenant_id = registry.tenants_of_gateways.get(judgement.sender.gateway_id)
        if tenant_id is None:
            continue
        for reading in judgement.odd_readings:
            written = written_id(reading)
            if written is not None:
                written_ids.add(written)
            elif reading.meter_serial is not None:
                serials.add((tenant_id, reading.meter_serial))
    return written_ids, serials


def finish(judgement: Judgement, registry: Registry, now: datetime) -> None:
    """Judge what is odd in a message, and what it says twice."""
    if not judgement.odd and not _says_twice(judgement.accepted):
        return
    accepted: list[Accepted] = []
    refused: list[tuple[int, Refused]] = []
    for number, verdict in enumerate(refuse_contradictions(_in_order(judgement, registry, now))):
        if isinstance(verdict, Refused):
            refused.append((number, verdict))
        else:
            accepted.append(verdict)
    judgement.accepted, judgement.odd = accepted, []
    if refused:
        originals = judgement.payload.originals()
        judgement.quarantined = [
            Quarantined(judgement.sender.delivery, verdict, _original(judgement, number, verdict, originals[number]))
            for number, verdict in refused
        ]


def _original(judgement: Judgement, number: int, refused: Refused, original: str) -> str:
    """A reading's text, within what its message claims if it is refused for that: so a replay is refused as it was."""
    reading, claimed = judgement.payload.readings[number], judgement.sender.claimed_gateway
    if refused.reason is not Reason.GATEWAY_MISMATCH or claimed is None or isinstance(reading, Refused):
        return original
    if reading.gateway_id not in {None, judgement.sender.gateway_id}:
        return original  # it says so itself
    return f'{{"gateway_id": {json.dumps(claimed[:MAX_CLAIM])}, "readings": [{original}]}}'


def _in_order(judgement: Judgement, registry: Registry, now: datetime) -> Iterator[Accepted | Refused]:
    """A verdict on each reading of a message."""
    usual, odd = iter(judgement.accepted), set(judgement.odd)
    for number, reading in enumerate(judgement.payload.readings):
        if number not in odd:
            yield next(usual)
        elif isinstance(reading, Refused):
            yield reading
        else:
            yield judge(reading, judgement.sender, registry=registry, now=now)


def _says_twice(accepted: list[Accepted]) -> bool:
    """Whether two are of the same meter and time."""
    return len({reading.key for reading in accepted}) < len(accepted)
