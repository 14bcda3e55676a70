"""In which order a fleet sends its history: gateways in turn, some batches again, some late."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from cli.fleet.gateways import Gateway, Ticks


class Kind(Enum):
    """Why a batch is sent."""

    ON_TIME = "on time"
    AGAIN = "again"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Batch:
    """Slots of a gateway that are sent as one message."""

    gateway: Gateway
    slots: range
    kind: Kind


def history(
    gateways: Sequence[Gateway],
    ticks: Ticks,
    *,
    readings_per_message: int,
    retransmit: float,
    late: float,
    seed: int,
) -> Iterator[Batch]:
    """Every slot of every gateway on time or late, in batches; time goes on for all gateways together.

    `retransmit` is the share of batches that is sent again, `late` the share that is held back until the end.
    """
    chance = random.Random(seed)  # noqa: S311 - luck, not secrecy
    held: list[Batch] = []
    for turn in _turns(gateways, ticks, readings_per_message):
        again = []
        for gateway, slots in turn:
            if chance.random() < late:
                held.append(Batch(gateway, slots, Kind.LATE))
                continue
            yield Batch(gateway, slots, Kind.ON_TIME)
            if chance.random() < retransmit:
                again.append(Batch(gateway, slots, Kind.AGAIN))
        yield from again
    yield from held


def moment(gateways: Sequence[Gateway], *, readings_per_message: int) -> Iterator[Batch]:
    """Every meter of every gateway at a single tick."""
    for turn in _turns(gateways, Ticks(0, 1, 1), readings_per_message):
        for gateway, slots in turn:
            yield Batch(gateway, slots, Kind.ON_TIME)


def _turns(
    gateways: Sequence[Gateway], ticks: Ticks, readings_per_message: int
) -> Iterator[list[tuple[Gateway, range]]]:
    """Each gateway's next slots, turn by turn until all have sent theirs."""
    rest = [(gateway, ticks.count * len(gateway.meters)) for gateway in gateways]
    begin = 0
    while rest:
        end = begin + readings_per_message
        yield [(gateway, range(begin, min(end, total))) for gateway, total in rest if total > begin]
        begin = end
        rest = [(gateway, total) for gateway, total in rest if total > begin]
