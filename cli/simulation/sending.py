"""Sends what a fleet has to say: its history as fast as it may, then its present, moment by moment."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cli.fleet.gateways import Gateway, Ticks
from cli.fleet.schedule import Batch, Kind, moment
from cli.publisher import GatewayPublisher
from cli.simulation.progress import Advance
from shared.clock import Clock

MESSAGES_IN_FLIGHT = 256
"""How many messages may wait for the broker's confirm at once."""

CATCH_UP_S = 86_400
"""How much of the present is sent late after the broker was away; what is older is skipped."""


@dataclass
class Tally:
    """What the broker has taken. `readings` are distinct ones; the others were sent more than once or late."""

    readings: int = 0
    messages: int = 0
    retransmitted_messages: int = 0
    retransmitted_readings: int = 0
    late_messages: int = 0
    late_readings: int = 0

    def add(self, kind: Kind, readings: int) -> None:
        """Count a message with so many readings."""
        self.messages += 1
        if kind is Kind.AGAIN:
            self.retransmitted_messages += 1
            self.retransmitted_readings += readings
            return
        self.readings += readings
        if kind is Kind.LATE:
            self.late_messages += 1
            self.late_readings += readings


class _Pace:
    """Holds a sender to `rate` readings a second; None: to nothing."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._begun = asyncio.get_running_loop().time()
        self._sent = 0

    async def keep(self, readings: int) -> None:
        if self._rate is None:
            return
        ahead = self._begun + self._sent / self._rate - asyncio.get_running_loop().time()
        self._sent += readings
        if ahead > 0:
            await asyncio.sleep(ahead)


async def send_history(
    publisher: GatewayPublisher,
    batches: Iterable[Batch],
    ticks: Ticks,
    *,
    rate: float | None,
    tally: Tally,
    advance: Advance,
) -> None:
    """Send all batches, at most `rate` readings a second, and return when the broker has taken every one.

    Each that it has taken is added to `tally`, which so holds also when this is cancelled.
    """
    pace = _Pace(rate)
    room = asyncio.Semaphore(MESSAGES_IN_FLIGHT)

    async def send(batch: Batch, body: bytes, readings: int) -> None:
        try:
            await publisher.publish(batch.gateway.id, body)
        finally:
            room.release()
        tally.add(batch.kind, readings)
        if batch.kind is not Kind.AGAIN:
            advance(len(batch.slots))

    try:
        async with asyncio.TaskGroup() as sending:
            for batch in batches:
                readings = batch.gateway.readings(ticks, batch.slots)
                if not readings:
                    advance(len(batch.slots))
                    continue
                await pace.keep(len(readings))
                await room.acquire()
                sending.create_task(send(batch, batch.gateway.message(readings), len(readings)))
    except ExceptionGroup as failed:
        # They fail together and for the same reason.
        raise failed.exceptions[0] from None


async def follow(
    publisher: GatewayPublisher,
    gateways: Sequence[Gateway],
    *,
    every_s: int,
    readings_per_message: int,
    clock: Clock,
) -> None:
    """Send what the meters show at every full `every_s` seconds, from the last one on, until cancelled."""
    at = int(clock().timestamp()) // every_s * every_s
    while True:
        tick = Ticks(at, every_s, 1)
        for batch in moment(gateways, readings_per_message=readings_per_message):
            readings = batch.gateway.readings(tick, batch.slots)
            if readings:
                await publisher.publish(batch.gateway.id, batch.gateway.message(readings))
        now = clock().timestamp()
        at = max(at + every_s, int(now - CATCH_UP_S) // every_s * every_s)
        await asyncio.sleep(max(0.0, at - now))
